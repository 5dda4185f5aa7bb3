"""Delivery by lists: the lists of a brute-force construction, and the sums of a dense product."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from somaflow.numerics.delivery import (
    Lists,
    Part,
    block_width,
    columns_of,
    deliver,
    deliver_later,
    deliver_values,
    in_lists,
    out_lists,
)
from somaflow.numerics.places import for_each, places, senders


def lognormal(n_pre: int, n_post: int, mean: float, seed: int = 3) -> Part:
    """Synapses with log-normal out-degrees, some of them 0, ordered by (post, pre)."""
    rng = np.random.default_rng(seed)
    degrees = np.minimum(rng.lognormal(np.log(mean), 1.0, n_pre).astype(int), n_post)
    degrees[::7] = 0
    pre = np.repeat(np.arange(n_pre), degrees)
    post = np.concatenate([rng.choice(n_post, d, replace=False) for d in degrees])
    order = np.lexsort((pre, post))
    count = len(pre)
    columns = {"weight": rng.normal(size=count), "delay": rng.integers(0, 5, count)}
    return Part(pre[order], post[order], columns)


def pieces(whole: Part, n_post: int, height: int) -> Callable[[], Iterator[Part]]:
    def given() -> Iterator[Part]:
        for start in range(0, n_post, height):
            keep = (whole.post >= start) & (whole.post < start + height)
            columns = {name: values[keep] for name, values in whole.columns.items()}
            yield Part(whole.pre[keep], whole.post[keep], columns)

    return given


DTYPES = {"weight": np.float64, "delay": np.int32}
SIZES = {
    "one block a cell": (Part(np.repeat(np.arange(48), 8), np.tile(np.arange(8), 48), {}), 48, 32),
    "several blocks": (lognormal(150, 200, 30.0), 150, 200),
    "long blocks": (Part(np.tile(np.arange(16), 300), np.repeat(np.arange(300), 16), {}), 16, 300),
    "many small blocks": (lognormal(64, 4000, 200.0), 64, 4000),
    "none": (Part(np.zeros(0, np.int64), np.zeros(0, np.int64), {}), 16, 16),
}


def made(name: str, height: int = 10**9, **dtypes: Any) -> tuple[Lists, Part, int, int]:
    part, n_pre, n_post = SIZES[name]
    if not part.columns:
        count, rng = len(part.pre), np.random.default_rng(8)
        order = np.lexsort((part.pre, part.post))
        columns = {"weight": rng.normal(size=count), "delay": rng.integers(0, 5, count)}
        part = Part(part.pre[order], part.post[order], columns)
    lists = out_lists(pieces(part, n_post, height), n_pre, n_post, DTYPES | dtypes)
    return lists, part, n_pre, n_post


@pytest.fixture(params=SIZES)
def lists(request: pytest.FixtureRequest) -> tuple[Lists, Part, int, int]:
    return made(request.param)


def blocks_of(lists: Lists, cell: int) -> slice:
    return slice(*lists.first[cell : cell + 2])


# -------------------------------------------------------------------------- lists


def test_the_sizes_are_what_their_names_say() -> None:
    assert made("one block a cell")[0].single
    assert not made("several blocks")[0].single
    small = made("many small blocks")[0]
    assert not small.single
    assert small.other.shape[1] >= 16
    assert np.diff(small.first).max() > 3
    assert (np.diff(small.first) == 0).any()


def test_out_lists_hold_the_synapses_of_each_cell_in_the_order_of_targets(lists: tuple) -> None:
    found, part, n_pre, n_post = lists
    assert found.count == len(part.pre)
    assert found.first.dtype == found.other.dtype == np.int32
    for j in range(n_pre):
        block = blocks_of(found, j)
        mine = part.pre == j
        targets = found.other[block].ravel()
        n = int(mine.sum())
        assert targets[:n].tolist() == part.post[mine].tolist()
        assert (targets[n:] == n_post).all()
        for name, values in part.columns.items():
            column = found.columns[name][block].ravel()
            assert column[:n].tolist() == values[mine].tolist()
            assert not column[n:].any()


@pytest.mark.parametrize("height", [1, 7, 64])
@pytest.mark.parametrize("name", SIZES)
def test_synapses_given_in_parts_make_the_same_lists(name: str, height: int) -> None:
    whole, parts = made(name)[0], made(name, height)[0]
    assert whole.first.tobytes() == parts.first.tobytes()
    assert whole.other.tobytes() == parts.other.tobytes()
    for key in DTYPES:
        assert whole.columns[key].tobytes() == parts.columns[key].tobytes()


def test_in_lists_lead_to_the_places_of_each_target_in_the_order_of_sources(lists: tuple) -> None:
    out, part, n_pre, n_post = lists
    found = in_lists(out, n_pre, n_post)
    weights = np.append(out.columns["weight"].ravel(), np.nan)
    order = np.lexsort((part.pre, part.post))
    for i in range(n_post):
        block = blocks_of(found, i)
        mine = order[part.post[order] == i]
        sources, places = found.other[block].ravel(), found.columns["place"][block].ravel()
        n = len(mine)
        assert sources[:n].tolist() == part.pre[mine].tolist()
        assert weights[places[:n]].tolist() == part.columns["weight"][mine].tolist()
        assert (sources[n:] == n_pre).all()
        assert (places[n:] == out.other.size).all()


def test_columns_have_the_types_asked_for() -> None:
    found = made("several blocks", weight=np.float32)[0]
    assert found.columns["weight"].dtype == np.float32
    assert found.columns["delay"].dtype == np.int32


def test_many_synapses_waste_an_eighth_at_most() -> None:
    rng = np.random.default_rng(1)
    for sigma in (0.1, 0.5, 1.0, 1.5):
        degrees = rng.lognormal(np.log(1000), sigma, 20_000).astype(np.int64)
        width, single = block_width(degrees)
        held = len(degrees) * width if single else int((-(-degrees // width)).sum()) * width
        assert degrees.sum() <= held <= 1.125 * degrees.sum()
        assert single == (sigma < 0.05)


def test_a_block_holds_the_largest_list_where_lists_are_alike() -> None:
    assert block_width(np.array([80, 81, 79])) == (81, True)
    assert block_width(np.array([0, 81, 0, 79])) == (81, True)
    assert block_width(np.array([0, 0])) == (2, True)
    assert block_width(np.zeros(0, np.int64)) == (2, True)
    width, single = block_width(np.array([3, 100_000, 0, 5]))
    assert not single
    assert width < 100_000


# ----------------------------------------------------------------------- for_each


@pytest.mark.parametrize(
    ("n", "eager"), [(n, False) for n in (1, 31, 32, 33, 64, 2000)] + [(50, True)]
)
def test_for_each_visits_the_true_places_in_ascending_order(n: int, eager: bool) -> None:
    def visit(mask: tf.Tensor) -> Any:
        def body(place: tf.Tensor, state: Any) -> Any:
            count, seen = state
            return count + 1, tf.tensor_scatter_nd_update(seen, [[count]], [place])

        return for_each(places(mask), body, (tf.constant(0), tf.fill([n + 1], -1)))

    run = visit if eager else tf.function(visit, jit_compile=True, autograph=False)
    rng = np.random.default_rng(n)
    masks = [np.zeros(n, bool), np.ones(n, bool), rng.random(n) < 0.03, rng.random(n) < 0.5]
    for place in {0, n - 1, min(31, n - 1), min(32, n - 1)}:
        masks.append(np.arange(n) == place)
    for mask in masks:
        count, seen = run(tf.constant(mask))
        assert int(count) == mask.sum()
        assert seen.numpy()[: mask.sum()].tolist() == np.flatnonzero(mask).tolist()


# ------------------------------------------------------------------------ deliver


def sent(n_pre: int, *leading: int, share: float = 0.3) -> np.ndarray:
    rng = np.random.default_rng(n_pre)
    x = rng.normal(size=(*leading, n_pre))
    x[..., rng.random(n_pre) >= share] = 0.0
    return x


def tensors(lists: Lists) -> dict[str, tf.Tensor]:
    arrays = {"first": lists.first, "other": lists.other, **lists.columns}
    return {name: tf.constant(array) for name, array in arrays.items()}


def delivered(lists: Lists, n_post: int, x: np.ndarray) -> np.ndarray:
    run = tf.function(
        lambda arrays, x: deliver(arrays, lists.single, n_post, x),
        jit_compile=True,
        autograph=False,
    )
    return run(tensors(lists), tf.constant(x)).numpy()


def product(part: Part, n_post: int, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The dense product, and that of the absolute values, which rounding is relative to."""
    matrix = np.zeros((x.shape[-1], n_post))
    matrix[part.pre, part.post] = part.columns["weight"]
    return x @ matrix, abs(x) @ abs(matrix)


@pytest.mark.parametrize("leading", [(), (1,), (3,), (2, 3)])
def test_delivery_equals_the_dense_product(lists: tuple, leading: tuple[int, ...]) -> None:
    found, part, n_pre, n_post = lists
    x = sent(n_pre, *leading)
    wanted, size = product(part, n_post, x)
    total = delivered(found, n_post, x)
    assert total.shape == (*leading, n_post)
    assert np.all(np.abs(total - wanted) <= 1e-15 * size)


@pytest.mark.parametrize("leading", [(), (3,), (2, 3)])
def test_each_product_is_rounded_and_added_in_the_order_of_the_senders(
    lists: tuple, leading: tuple[int, ...]
) -> None:
    found, part, n_pre, n_post = lists
    x = sent(n_pre, *leading)
    rows = x.reshape(-1, n_pre)
    wanted = np.zeros((len(rows), n_post))
    order = np.lexsort((part.post, part.pre))
    weight = part.columns.get("weight", np.zeros(len(part.pre)))
    for pre, post, w in zip(part.pre[order], part.post[order], weight[order], strict=True):
        wanted[:, post] += w * rows[:, pre]
    assert delivered(found, n_post, x).tobytes() == wanted.reshape(*leading, n_post).tobytes()


@pytest.mark.parametrize(
    ("name", "rows", "scatters"),
    [
        ("several blocks", 1, 0),
        ("several blocks", 4, 0),
        ("several blocks", 5, 1),
        ("long blocks", 1, 1),
    ],
)
def test_few_rows_of_short_blocks_are_delivered_in_one_kernel(
    name: str, rows: int, scatters: int
) -> None:
    found, _, n_pre, n_post = made(name)

    def total(arrays: Any, x: tf.Tensor) -> tf.Tensor:
        return deliver(arrays, found.single, n_post, x)

    run = tf.function(total, jit_compile=True, autograph=False)
    arguments = tensors(found), tf.constant(sent(n_pre, rows))
    text = run.experimental_get_compiler_ir(*arguments)(stage="optimized_hlo")
    assert text.count(" scatter(") == scatters
    # The loops over cells, over their blocks and over synapses; each is in a kernel, all in one.
    assert text.count('xla_cpu_small_call="true"') == (0 if scatters else 3)


def test_delivery_without_a_sender_is_zero(lists: tuple) -> None:
    found, _, n_pre, n_post = lists
    assert not delivered(found, n_post, np.zeros(n_pre)).any()


def test_a_row_of_a_batch_has_the_bits_of_a_delivery_alone() -> None:
    found, _, n_pre, n_post = made("several blocks")
    x = sent(n_pre, 3)
    x[1, ::2] = 0.0
    together = delivered(found, n_post, x)
    for row in range(3):
        assert together[row].tobytes() == delivered(found, n_post, x[row]).tobytes()


@pytest.mark.parametrize("cuts", [(0, 200), (0, 1, 200), (0, 64, 71, 200)])
def test_any_split_of_the_postsynaptic_cells_gives_the_same_bits(cuts: tuple[int, ...]) -> None:
    lists, part, n_pre, n_post = made("several blocks")
    x = sent(n_pre, share=0.9)
    parts = []
    for start, stop in pairwise(cuts):
        keep = (part.post >= start) & (part.post < stop)
        columns = {name: values[keep] for name, values in part.columns.items()}
        mine = Part(part.pre[keep], part.post[keep] - start, columns)
        own = out_lists(lambda mine=mine: [mine], n_pre, stop - start, DTYPES)
        parts.append(delivered(own, stop - start, x))
    assert np.concatenate(parts).tobytes() == delivered(lists, n_post, x).tobytes()


@pytest.mark.parametrize("height", [1, 3])
def test_only_cells_of_the_mask_are_asked_for_what_they_deliver(lists: tuple, height: int) -> None:
    found, part, n_pre, n_post = lists
    mask = np.arange(n_pre) % 3 == 1
    x = np.random.default_rng(4).normal(size=(height, n_pre))

    def total(arrays: Any, x: tf.Tensor) -> tf.Tensor:
        def value(j: tf.Tensor) -> tf.Tensor:
            return x[:, j] / tf.cast(j % 3 == 1, tf.float64)  # endless for all others

        return deliver_values(
            arrays,
            found.single,
            n_post,
            senders(arrays["first"], tf.constant(mask)),
            value,
            height,
            tf.float64,
        )

    made = tf.function(total, jit_compile=True, autograph=False)(tensors(found), tf.constant(x))
    wanted, size = product(part, n_post, x * mask)
    assert made.shape == (height, n_post)
    assert np.all(np.abs(made.numpy() - wanted) <= 1e-15 * size)


@pytest.mark.parametrize("leading", [(), (3,)])
def test_late_delivery_comes_in_the_slot_of_each_delay(
    lists: tuple, leading: tuple[int, ...]
) -> None:
    found, part, n_pre, n_post = lists
    n_slots, now = 5, 3
    x = sent(n_pre, *leading)
    height = int(np.prod(leading))
    before = np.random.default_rng(2).normal(size=(n_slots * (n_post + 1), height))

    def add(arrays: Any, x: tf.Tensor, ring: tf.Tensor) -> tf.Tensor:
        mask, value, _ = columns_of(x)
        sending = senders(arrays["first"], mask)
        return deliver_later(arrays, found.single, n_post, sending, value, tf.constant(now), ring)

    run = tf.function(add, jit_compile=True, autograph=False)
    ring = run(tensors(found), tf.constant(x), tf.constant(before)).numpy()
    slots = ring.reshape(n_slots, n_post + 1, height)[:, :-1]
    start = before.reshape(n_slots, n_post + 1, height)[:, :-1]
    flat = x.reshape(height, n_pre)
    for delay in range(n_slots):
        keep = part.columns["delay"] == delay
        columns = {name: values[keep] for name, values in part.columns.items()}
        wanted, size = product(Part(part.pre[keep], part.post[keep], columns), n_post, flat)
        slot = (now + delay) % n_slots
        change = slots[slot].T - start[slot].T
        assert np.all(np.abs(change - wanted) <= 1e-14 * (size + abs(start[slot].T)))
