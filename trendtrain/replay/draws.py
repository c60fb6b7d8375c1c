"""Draw rows of a memory: an event by its age, a row of it uniformly, accepted by its weight."""

import numpy as np
import numpy.typing as npt

from trendtrain.market.bars import FloatArray, IntArray
from trendtrain.market.compiled import compiled, inlined

_BLOCK = 1024  # proposals whose random numbers follow each other: first those of the ages, then those of the places
_PART = 256  # proposals at a time: what one step leaves to the next stays in the cache

# SplitMix64 (Steele, Lea & Flood 2014), a counter whose bits are mixed.
_STRIDE, _FIRST, _SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_30, _27, _31, _11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)

_HALF_ROOT = np.int64(0x3FE6A09E667F3BCD)  # the bits of sqrt(1 / 2)
_LOG_2 = float(np.log(2.0))
# Half precision has 5 bits of exponent, biased by 15, and 10 of fraction; no weight is small enough to be subnormal.
SCALE: FloatArray = np.ldexp(1.0, np.arange(32) - 25)


@compiled
def draw_rows(
    seed: np.uint64,
    span: IntArray,
    half_life: float,
    rows: IntArray,
    weight: npt.NDArray[np.uint16],
    scale: FloatArray,
    slot: IntArray,
    drawn: IntArray,
    age: IntArray,
    uniform: FloatArray,
    bits: IntArray,
    found: IntArray,
) -> None:
    """Fill `slot` and `drawn` with rows, and `age` with the number of events younger than theirs.

    Each step of a part is a loop without a branch on the data, so that the waits for memory overlap.

    Args:
        seed: Start of the random numbers.
        span: Event e has the slots from `span[e, 0]` to `span[e + 1, 0]`; where its rows are consecutive, which saves
            a wait, the first is `span[e + 1, 1]`, else that is -1. Shape (n_events + 1, 2), at least one event.
        half_life: In events; infinity draws all events alike.
        rows: The rows, the first that of slot `span[0, 0]`.
        weight: The bits of each row's float16 weight, a normal number.
        scale: `SCALE` over at least the largest weight.
        slot, drawn, age: The results, shape (n,), int64.
        uniform, bits, found: What `working_room` returned; arrays made here would take longer to compile.
    """
    newest, first_slot = len(span) - 2, span[0, 0]
    n_drawn = 0
    while n_drawn < len(drawn):
        n_proposed = min(_BLOCK, len(drawn) - n_drawn)  # no more than may all be accepted
        for start in range(0, n_proposed, _PART):
            n, before = min(_PART, n_proposed - start), n_drawn
            for j in range(2):
                fill_uniform(seed + np.uint64(j * n_proposed + start) * _STRIDE, uniform[j, :n])
            fill_ages(uniform[0, :n], newest + 1, half_life, found[0], uniform[2], bits[2])
            for i in range(n):
                event = newest - found[0, i]
                place = uniform[1, i] * (span[event + 1, 0] - span[event, 0])
                found[1, i] = span[event, 0] - first_slot + int(place)
                uniform[1, i] = place - int(place)  # uniform again, and independent of the place
            for i in range(n):
                found[2, i] = weight[found[1, i]]
            for i in range(n):
                age[n_drawn], slot[n_drawn] = found[0, i], found[1, i]
                n_drawn += uniform[1, i] < (1024 + (found[2, i] & 1023)) * scale[found[2, i] >> 10]
            for i in range(before, n_drawn):
                event = newest - age[i]
                first = span[event + 1, 1]
                drawn[i] = first + slot[i] + first_slot - span[event, 0] if first >= 0 else rows[slot[i]]
                slot[i] += first_slot
        seed += np.uint64(2 * n_proposed) * _STRIDE


def working_room() -> tuple[FloatArray, IntArray, IntArray]:
    """Return arrays for a part: two uniform numbers each and a mantissa, their bits; age, place and weight."""
    uniform = np.empty((3, _PART))
    return uniform, uniform.view(np.int64), np.empty((3, _PART), dtype=np.int64)


@inlined
def fill_uniform(seed: np.uint64, uniform: FloatArray) -> None:
    """Fill `uniform` with random numbers from 0 to 1, 1 excluded; the seed of those that follow is n strides on."""
    for i in range(len(uniform)):
        seed += _STRIDE
        mixed = (seed ^ (seed >> _30)) * _FIRST
        mixed = (mixed ^ (mixed >> _27)) * _SECOND
        uniform[i] = np.float64((mixed ^ (mixed >> _31)) >> _11) * 2.0**-53


@inlined
def fill_ages(
    uniform: FloatArray, n_events: int, half_life: float, age: IntArray, m: FloatArray, bits: IntArray
) -> None:
    """Map uniform numbers to ages in events, 0 (the newest) to `n_events` - 1.

    With q = 2^(-1 / half_life) the probability of age a is proportional to q^a, a geometric law truncated at the oldest
    event: P(age <= a) = (1 - q^(a + 1)) / (1 - q^n), so that age = floor(log(1 - uniform (1 - q^n)) / log q).

    The logarithm is worked out here because a loop that calls the library's takes three times as long: of x = 2^e m
    with m from sqrt(1 / 2) to sqrt(2), log x = e log 2 + 2 artanh((m - 1) / (m + 1)), off by less than 1e-13.
    `m` is room for as many, and `bits` is its memory as integers.
    """
    n = len(uniform)
    span = np.expm1(-n_events * _LOG_2 / half_life)
    if span == 0.0:  # a half-life without end
        for i in range(n):
            age[i] = min(int(uniform[i] * n_events), n_events - 1)
        return
    for i in range(n):
        m[i] = 1.0 + uniform[i] * span
    for i in range(n):
        age[i] = (bits[i] - _HALF_ROOT) >> 52  # e
        bits[i] -= age[i] << 52
    for i in range(n):
        above = uniform[i] * span if age[i] == 0 else m[i] - 1.0  # m - 1, without the rounding of 1 + ...
        s = np.divide(above, 2.0 + above)  # the operator would check for 0, and the loop be slow
        z = s * s
        tail = z * (1 / 3 + z * (1 / 5 + z * (1 / 7 + z * (1 / 9 + z * (1 / 11 + z * (1 / 13 + z / 15))))))
        halvings = age[i] + 2.0 / _LOG_2 * (s + s * tail)
        age[i] = min(int(-half_life * halvings), n_events - 1)  # rounding may reach n_events
