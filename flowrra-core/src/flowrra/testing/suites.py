"""What all conformance suites share."""

from __future__ import annotations

from collections.abc import Iterable


class Suite:
    """A suite certifies something only if it was run whole."""

    async def test_no_promise_is_left_out(self) -> None:
        """Tests may be added to a suite; none may be replaced."""
        own = [cls for cls in type(self).__mro__ if not cls.__module__.startswith("flowrra.testing.")]
        promises = _tests(cls for cls in type(self).__mro__ if cls not in own)
        replaced = sorted(promises & _tests(own))
        assert not replaced, f"{type(self).__name__} replaces tests of its suite: {', '.join(replaced)}"


def _tests(classes: Iterable[type]) -> set[str]:
    return {name for cls in classes for name in vars(cls) if name.startswith("test_")}
