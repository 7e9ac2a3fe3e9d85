"""The native module."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__version__: str

Rows: TypeAlias = (
    NDArray[np.uint8]
    | NDArray[np.float32]
    | NDArray[np.float64]
    | tuple[int, NDArray[np.uint64], NDArray[np.uint32], NDArray[np.float32]]
)
Fitted: TypeAlias = dict[str, Any]
ColumnSums: TypeAlias = tuple[int, list[NDArray[np.float64]]]
Progress: TypeAlias = Callable[[dict[str, Any]], object] | None

def fit(
    rows: Rows,
    classes: NDArray[np.uint32],
    names: Sequence[str],
    options: dict[str, Any],
    weights: NDArray[np.float32] | None = None,
    progress: Progress = None,
) -> tuple[Fitted, list[str], BaseException | None]: ...
def paths(
    rows: Rows,
    classes: NDArray[np.uint32],
    names: Sequence[str],
    options: dict[str, Any],
    cs: Sequence[float],
    sets: Sequence[NDArray[np.uint32]],
    weights: NDArray[np.float32] | None = None,
    progress: Progress = None,
) -> tuple[list[list[Fitted]], list[str], BaseException | None]: ...
def gradcheck(
    rows: NDArray[np.float64],
    classes: NDArray[np.uint32],
    n_classes: int,
    options: dict[str, Any],
    strength: float,
    coordinates: int,
    weight: NDArray[np.float64] | None = None,
    bias: NDArray[np.float64] | None = None,
) -> tuple[bool, list[str]]: ...
def gradient(
    scores: NDArray[np.float64], classes: NDArray[np.uint32], options: dict[str, Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
def check_gradient(
    own: NDArray[np.float64],
    rows: NDArray[np.float64],
    classes: NDArray[np.uint32],
    weight: NDArray[np.float64],
    options: dict[str, Any],
    strength: float,
    tolerance: float,
) -> tuple[bool, list[str], str | None]: ...
class PartsSetting:
    def __init__(
        self,
        options: dict[str, Any],
        names: Sequence[str],
        n_features: int,
        n_train: int,
        double_rows: bool,
        sums: ColumnSums | None = None,
    ) -> None: ...

class PartVariables:
    @staticmethod
    def zero(n_rows: int, n_classes: int) -> PartVariables: ...
    def restored(self, n_rows: int, away: NDArray[np.uint32], n_classes: int) -> PartVariables: ...
    def to_bytes(self) -> bytes: ...
    @staticmethod
    def from_bytes(bytes: bytes, n_classes: int) -> PartVariables: ...

class PartsCoordinator:
    def __init__(self, setting: PartsSetting, n_parts: int, gap: float, rounds: int, hot_rows: int) -> None: ...
    def lost(self) -> None: ...
    def stop(self) -> None: ...
    def away(self, part: int) -> NDArray[np.uint32]: ...
    def request(self) -> bytes | None: ...
    def tell(self, setting: PartsSetting, answers: bytes) -> None: ...
    @property
    def progress(self) -> dict[str, Any]: ...
    def fitted(self, setting: PartsSetting, seconds: float) -> Fitted | None: ...

def part_answer(
    setting: PartsSetting,
    rows: Rows,
    classes: NDArray[np.uint32],
    place: int,
    variables: PartVariables,
    request: bytes,
    weights: NDArray[np.float32] | None = None,
) -> tuple[PartVariables, bytes]: ...
def merge_answers(setting: PartsSetting, answers: Sequence[bytes]) -> bytes: ...
def column_sums(rows: Rows, shift: NDArray[np.float64]) -> ColumnSums: ...
def is_blurred(rows: NDArray[np.float64]) -> bool: ...
def run_program(words: Sequence[str]) -> int: ...

class NativeModel:
    @staticmethod
    def from_bytes(bytes: bytes) -> NativeModel: ...
    @staticmethod
    def load(path: str) -> NativeModel: ...
    @staticmethod
    def of_weights(
        weight: NDArray[np.float64],
        bias: NDArray[np.float64] | None,
        names: Sequence[str],
        options: dict[str, Any],
        n_samples: int,
    ) -> NativeModel: ...
    @staticmethod
    def liblinear(
        weight: NDArray[np.float64], bias: NDArray[np.float64], names: Sequence[str], power: int
    ) -> NativeModel: ...
    def to_bytes(self, feature_names: Sequence[str] | None = None) -> bytes: ...
    def export(self, format: str) -> bytes: ...
    @property
    def class_names(self) -> list[str]: ...
    @property
    def feature_names(self) -> list[str] | None: ...
    @property
    def image_shape(self) -> tuple[int, int, int] | None: ...
    @property
    def temperature(self) -> float | None: ...
    @property
    def objective(self) -> dict[str, Any] | None: ...
    def coefficients(self) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None: ...
    def certify(
        self,
        rows: Rows,
        classes: NDArray[np.uint32],
        gap: float,
        threads: int,
        weights: NDArray[np.float32] | None = None,
    ) -> tuple[float, float, float]: ...
