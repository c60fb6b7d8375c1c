import numpy as np
import pytest

from trendtrain.errors import InputError, check_at_least, check_choice, check_number


@pytest.mark.parametrize("value", [1, 2, 10**9, np.int64(3)])
def test_integers_from_the_minimum_on_pass(value: object) -> None:
    check_at_least("n", value, 1)


@pytest.mark.parametrize("value", [0, -1, 1.0, 1.5, "1", None, True, float("nan"), [1]])
def test_anything_else_is_refused_as_an_integer(value: object) -> None:
    with pytest.raises(InputError) as caught:
        check_at_least("n", value, 1)
    assert str(caught.value) == f"`n` must be an integer of at least 1, got {value!r}."


@pytest.mark.parametrize("value", [0, 0.0, 0.5, 1, np.float32(0.25)])
def test_numbers_in_the_range_pass(value: object) -> None:
    check_number("x", value, 0.0, 1.0)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), float("inf"), "0.5", None, True, 1j])
def test_anything_else_is_refused_as_a_number(value: object) -> None:
    with pytest.raises(InputError) as caught:
        check_number("x", value, 0.0, 1.0)
    assert str(caught.value) == f"`x` must be a number from 0.0 to 1.0, got {value!r}."


def test_a_range_without_end_says_so() -> None:
    with pytest.raises(InputError, match=r"`x` must be a number of at least 2\.0, got 1\.0"):
        check_number("x", 1.0, 2.0)


def test_one_of_the_choices_passes() -> None:
    check_choice("tie", "strict", ("plateau", "strict"))


@pytest.mark.parametrize("value", ["loose", None, 1, ""])
def test_no_choice_is_refused(value: object) -> None:
    with pytest.raises(InputError) as caught:
        check_choice("tie", value, ("plateau", "strict"))
    assert str(caught.value) == f"`tie` must be one of plateau, strict, got {value!r}."


def test_an_input_error_is_a_value_error() -> None:
    assert issubclass(InputError, ValueError)
