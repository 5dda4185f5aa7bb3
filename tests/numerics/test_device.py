"""What is asked of XLA, and that it does it: the optimised module is read."""

import re

import numpy as np
import pytest
import tensorflow as tf

from somaflow.numerics.device import _with_wishes, following, materialize, traced_once
from somaflow.numerics.sums import gathered, weighted_sum

WIDTH, PASSES = "--xla_cpu_prefer_vector_width", "--xla_disable_hlo_passes"


def optimised(function, *arguments) -> str:
    """Return the module that XLA made of a function for a CPU."""
    made = tf.function(function, jit_compile=True, autograph=False)
    return made.experimental_get_compiler_ir(*arguments)(stage="optimized_hlo")


def fusions(module: str) -> list[str]:
    """Return the text of each computation of a module."""
    return re.split(r"\n\n", module)


def test_a_barrier_keeps_what_many_read_from_being_computed_again() -> None:
    """Without the option, the tanh is fused into both readers."""
    x = tf.constant(np.linspace(0, 1, 64))

    def shared(x):
        y = materialize(tf.tanh(x) + 1)
        return tf.gather(y, tf.range(63, -1, -1)) * 2, y[::2] - 1

    module = optimised(shared, x)
    assert "opt-barrier" in module
    assert sum(" tanh(" in part for part in fusions(module)) == 1


def test_products_of_a_sum_over_lists_are_made_once_and_apart_from_their_additions() -> None:
    rng = np.random.default_rng(1)
    n, k = 50, 40
    pre = np.sort(rng.integers(0, n, (n, k)), axis=1).ravel()
    made = gathered(pre, np.repeat(np.arange(n), k), rng.random(n * k), n, n)
    arrays = {name: tf.constant(value) for name, value in made.items()}
    module = optimised(
        lambda x: weighted_sum(arrays["weight"], arrays["sources"], tf.exp(x)),
        tf.constant(rng.random(n)),
    )
    with_gather = [part for part in fusions(module) if " gather(" in part]
    assert len(with_gather) == 1
    assert " add(" not in with_gather[0] and " exponential(" not in with_gather[0]


@pytest.mark.parametrize(
    ("flags", "cpu", "said"),
    [
        ("", True, f"{WIDTH}=512 {PASSES}=cse_barrier_expander"),
        ("", False, f"{WIDTH}=512"),
        (f"{WIDTH}=128", False, f"{WIDTH}=128"),
        (
            f"{PASSES}=a,b --other=1",
            True,
            f"--other=1 {WIDTH}=512 {PASSES}=a,b,cse_barrier_expander",
        ),
        (
            f"{PASSES}=cse_barrier_expander {WIDTH}=512",
            True,
            f"{PASSES}=cse_barrier_expander {WIDTH}=512",
        ),
    ],
)
def test_the_users_own_wishes_stand_beside_ours(flags: str, cpu: bool, said: str) -> None:
    assert _with_wishes(flags, cpu) == said


@pytest.mark.parametrize("width", [1, 16, 32, 64, 255, 256])
def test_a_loop_of_any_size_may_hold_a_barrier(width: int) -> None:
    """XLA makes one kernel of a small loop, and refuses barriers there."""

    def total(x):
        def body(k, x):
            return following(k, [x]), materialize(x * 0.5) + 1.0

        return tf.while_loop(lambda k, x: k < 10, body, (tf.constant(0), x))[1]

    x = np.linspace(0, 1, width).astype(np.float32)
    found = tf.function(total, jit_compile=True, autograph=False)(tf.constant(x))
    assert np.allclose(found, x * 2.0**-10 + 2 * (1 - 2.0**-10), rtol=1e-6)


def test_what_is_traced_once_is_so_for_all_graphs_and_each_shape() -> None:
    calls = []

    @traced_once
    def grown(x: tf.Tensor) -> tf.Tensor:
        calls.append(x.shape)
        return tf.exp(x)

    def looped(x):
        return tf.while_loop(
            lambda k, _: k < 3, lambda k, x: (k + 1, grown(x) - grown(x / 2)), (0, x)
        )

    x = np.linspace(0, 1, 16)
    want = x
    for _ in range(3):
        want = np.exp(want) - np.exp(want / 2)
    for _ in range(2):
        made = tf.function(looped, jit_compile=True, autograph=False)
        np.testing.assert_allclose(made(tf.constant(x))[1], want, rtol=1e-14)
    assert calls == [(16,)]
    tf.function(grown, autograph=False)(tf.zeros([4, 2]))
    assert calls == [(16,), (4, 2)]
