"""Which component of a right-hand side depends on which, read off its operations.

The graph of the function is changed so that every operation on numbers only passes on what it is
given: all functions of one number are left out, all of two become a sum, a choice becomes the sum
of what is chosen from. Where one component of the state is then not a number, just those results
are none that the component can reach, whatever the state and the parameters are. Of an operation
that is not in these lists nothing is known.
"""

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.core.framework.node_def_pb2 import NodeDef

from somaflow.compiler.ode import BlockFunction, OdeModel
from somaflow.errors import RunError
from somaflow.numerics.device import compiled, written_out
from somaflow.numerics.memory import available_bytes, in_words
from somaflow.numerics.types import Nest, Tensor
from somaflow.solvers.base import Solver
from somaflow.solvers.derivatives import WRITTEN_OUT
from somaflow.solvers.exponential import ExponentialEuler, ExponentialMidpoint
from somaflow.solvers.pattern import Pattern
from somaflow.solvers.stochastic import Milstein

_BLOCK = 256  # components that are tried in one call
_MOST = 1 / 4  # of all entries: a matrix with more is a full one
_ENTRIES = 1 << 24  # and no more than these
_COPIES = 10  # of a full matrix while a system is solved
# Methods that differentiate f or the noise, besides stiff ones.
_DIFFERENTIATE = (ExponentialEuler, ExponentialMidpoint, Milstein)

_ONE = """Abs Acos Acosh Asin Asinh Atan Atanh Ceil Cos Cosh Digamma Elu Erf Erfc Exp Expm1 Floor
    Inv LeakyRelu Lgamma Log Log1p Neg Reciprocal Relu Relu6 Rint Round Rsqrt Selu Sigmoid Sign Sin
    Sinh Softplus Softsign Sqrt Square Tan Tanh"""
_TWO = """Add AddV2 Atan2 Div DivNoNan FloorDiv FloorMod Maximum Minimum Mod Mul MulNoNan Pow
    RealDiv SquaredDifference Sub TruncateDiv TruncateMod Xdivy Xlog1py Xlogy"""
_REDUCE = "Max Mean Min Prod Sum"
# They move numbers, or add products of them: what is not a number stays so.
_KEEP = """AddN BatchMatMul BatchMatMulV2 BatchMatMulV3 BiasAdd BroadcastArgs BroadcastTo Concat
    ConcatV2 Const Conv2D Conv3D Cumsum DepthwiseConv2dNative Einsum ExpandDims Fill GatherNd
    GatherV2 Identity IdentityN LinSpace MatMul MatrixBandPart MatrixDiag MatrixDiagPart
    MatrixDiagPartV3 MatrixDiagV3 MirrorPad NoOp OnesLike Pack Pad PadV2 Placeholder PreventGradient
    Range Rank Reshape ReverseV2 Roll ScatterNd SegmentSum Shape ShapeN Size Slice Split SplitV
    Squeeze StopGradient StridedSlice TensorScatterAdd TensorScatterSub TensorScatterUpdate Tile
    Transpose Unpack UnsortedSegmentSum ZerosLike"""
# Their result is true or false, which has no derivative.
_TRUTH = """All Any Equal Greater GreaterEqual IsFinite IsInf IsNan Less LessEqual LogicalAnd
    LogicalNot LogicalOr NotEqual"""
_NEW: dict[str, str] = (
    dict.fromkeys(_ONE.split(), "Identity")
    | dict.fromkeys(_TWO.split(), "AddV2")
    | dict.fromkeys(_REDUCE.split(), "Sum")
    | {"Cumprod": "Cumsum"}
)
_SAME = frozenset([*_KEEP.split(), *_TRUTH.split()])
_ATTRIBUTES = {"T", "Tidx", "keep_dims", "exclusive", "reverse"}  # of what they are replaced by


def large(model: OdeModel) -> bool:
    """Tell whether derivatives are taken by the pattern of a system."""
    return sum(model.blocks.sizes) > WRITTEN_OUT


def choices(model: OdeModel) -> tuple[bytes, ...]:
    """Return the whole numbers in the parameters of a large system: its pattern holds for these."""
    if not large(model):
        return ()
    leaves = [np.asarray(leaf) for leaf in tf.nest.flatten(model.parameters)]
    return tuple(leaf.tobytes() for leaf in leaves if leaf.dtype.kind in "iub")


def of_model(
    model: OdeModel, solver: Solver, function: BlockFunction, floats: tf.DType, lockstep: bool
) -> Pattern | None:
    """Return the pattern of a large system, if the method takes derivatives.

    Args:
        model: The system.
        solver: The method.
        function: What it differentiates, over blocks.
        floats: Of the run.
        lockstep: Whether all problems have one time.

    Raises:
        RunError: The Jacobian is full, and does not fit into memory.
    """
    if not (large(model) and (solver.stiff or isinstance(solver, _DIFFERENTIATE))):
        return None
    n, columns = sum(model.blocks.sizes), model.blocks.columns
    time = tf.zeros([] if lockstep else [columns], tf.float64)
    # Constants, so that no tape of the user's looks into what is compiled here.
    constants = tf.nest.map_structure(lambda x: tf.constant(np.asarray(x)), model.parameters)
    sparsity = pattern(function, n, (time, tf.zeros([n, columns], floats), constants))
    needed, free = _COPIES * columns * n * n * floats.size, available_bytes()
    if (
        (sparsity is None or not sparsity.banded)
        and solver.stiff
        and free is not None
        and needed > free
    ):
        raise RunError(
            f"{solver.name} needs the Jacobian of {n:,} components, and it is full: each seems to "
            f"depend on most others. That takes about {in_words(needed)} of memory, of which "
            f"{in_words(free)} are free. Write differences by slices, tf.pad and tf.roll, and not "
            "as a product with a matrix; or take an explicit method, such as sf.Tsitouras()."
        )
    return sparsity


def told(model: OdeModel, solver: Solver, sparsity: Pattern | None) -> dict[str, str]:
    """Return what a solve says of the Jacobian of a large system, for a method that needs it."""
    if not (large(model) and solver.stiff):
        return {}
    products = sum(model.blocks.sizes) if sparsity is None else sparsity.products
    what = "full"
    if sparsity is not None and sparsity.banded:
        what = "banded, {} below and {} above the diagonal".format(*sparsity.reach)
    return {"jacobian": f"{what}, from {products} products"}


def pattern(over: BlockFunction, n: int, spec: tuple[Tensor, Tensor, Nest]) -> Pattern | None:
    """Return which components of a function over blocks depend on which.

    Args:
        over: `(t, y, parameters) -> block`; whole numbers among the parameters may choose which
            component is taken, so they are part of the result.
        n: Number of components.
        spec: A time, a block [n, R] and the parameters.

    Returns:
        The pattern; None where the operations do not tell, or where most components depend on most.
    """
    like = tf.nest.map_structure(lambda x: tf.TensorSpec(np.shape(x), x.dtype), spec)

    with written_out():
        traced = tf.function(over, autograph=False).get_concrete_function(*like)
    definition = traced.graph.as_graph_def()
    eager = tf.config.functions_run_eagerly()  # there is no graph to change then
    if eager or definition.library.function or not _passing(definition):
        return None
    names = [tensor.name for tensor in traced.graph.inputs]
    captured, result = traced.captured_inputs, traced.outputs[0].name
    # XLA does not compile a placeholder, and what is put in its place must be in use.
    nodes = [node for node in definition.node if node.op != "Placeholder"]
    used = {name.partition(":")[0] for node in nodes for name in node.input}
    del definition.node[:]
    definition.node.extend(nodes)

    @compiled
    def reached(first: Tensor, arguments: Nest) -> Tensor:
        """Return for each of the next components which ones it reaches, bool [_BLOCK, n]."""
        t, y, *rest = tf.nest.flatten(arguments)

        def one(component: Tensor) -> Tensor:
            marked = tf.where((tf.range(n) == component)[:, None], tf.constant(np.nan, y.dtype), y)
            inputs = [tf.identity(x) for x in (t, marked, *rest, *captured)]  # of the loop's graph
            values = {
                name: value
                for name, value in zip(names, inputs, strict=True)
                if name.partition(":")[0] in used
            }
            (block,) = tf.graph_util.import_graph_def(
                definition, input_map=values, return_elements=[result]
            )
            return tf.reduce_any(tf.math.is_nan(block), axis=1)

        return tf.map_fn(one, first + tf.range(_BLOCK), fn_output_signature=tf.bool)

    try:
        unmarked = reached(tf.constant(n), spec)
    except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
        return None  # XLA does not compile it, as the solve itself will say
    if unmarked.numpy().any():
        return None
    rows, columns, count = [], [], 0
    for first in range(0, n, _BLOCK):
        marks = reached(tf.constant(first), spec).numpy()[: n - first]
        count += np.count_nonzero(marks)
        if count > min(_MOST * n * n, _ENTRIES):
            return None
        column, row = np.nonzero(marks)
        rows.append(row.astype(np.int32))
        columns.append((first + column).astype(np.int32))
    return Pattern(n, np.concatenate(rows), np.concatenate(columns))


def _passing(definition: GraphDef) -> bool:
    """Make the operations of a graph pass on what they are given; tell whether all of them do."""
    for node in list(definition.node):
        number = node.attr["T"].type if "T" in node.attr else 0  # 0 for a list of types
        kind = tf.as_dtype(number) if number else None
        if node.op == "Cast":
            source, target = (tf.as_dtype(node.attr[key].type) for key in ("SrcT", "DstT"))
            # From a real number to a whole one, which may choose a component.
            if not (target.is_floating or target == tf.bool or source.is_integer):
                return False
        elif node.op == "SelectV2":
            if kind is None or kind.is_integer:
                return False
            if kind.is_floating:
                _add_up(definition, node)
        elif node.op in _NEW:
            if kind is not None and kind.is_floating:
                _replace(node, _NEW[node.op])
        elif node.op not in _SAME:
            return False
    return True


def _replace(node: NodeDef, operation: str) -> None:
    node.op = operation
    for attribute in set(node.attr) - _ATTRIBUTES:
        del node.attr[attribute]


def _add_up(definition: GraphDef, node: NodeDef) -> None:
    """Turn a choice into the sum of what is chosen from, and of its condition for the shape."""
    condition, first, second = node.input[:3]
    truth, total = definition.node.add(), definition.node.add()
    truth.name, truth.op = f"{node.name}/truth", "Cast"
    truth.input.append(condition)
    truth.attr["SrcT"].type = tf.bool.as_datatype_enum
    truth.attr["DstT"].type = node.attr["T"].type
    total.name, total.op = f"{node.name}/total", "AddV2"
    total.input.extend([first, second])
    total.attr["T"].type = node.attr["T"].type
    del node.input[:3]
    for name in (total.name, truth.name):
        node.input.insert(0, name)
    _replace(node, "AddV2")
