"""The compiler: the only place that knows both descriptions and tensors."""
