"""Many runs of one model: what varies, where the members are computed, and one result of all."""
