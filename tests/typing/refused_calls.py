# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""Mistakes that the type checkers find: an ignored line that is right would be reported itself."""

from __future__ import annotations

from flowrra import Flowrra, TaskHandle

app = Flowrra()


@app.task()
async def add(a: int, b: int) -> int:
    return a + b


@app.task()
def join(words: list[str], *, separator: str = " ") -> str:
    return separator.join(words)


async def wrong_arguments() -> None:
    await add.submit(1, "2")  # type: ignore[arg-type]
    await add.submit(1)  # type: ignore[call-arg]
    await add.submit(1, 2, 3)  # type: ignore[call-arg]
    await add.submit(1, c=2)  # type: ignore[call-arg]
    await add(1, None)  # type: ignore[arg-type]
    join([1])  # type: ignore[list-item]
    join(["a"], ",")  # type: ignore[call-arg]


async def wrong_arguments_behind_options() -> None:
    await add.options(priority=1).submit(1, "2")  # type: ignore[arg-type]
    await join.options(delay=1).submit(["a"], ",")  # type: ignore[call-arg]
    add.signature("1", 2)  # type: ignore[arg-type]


async def wrong_options() -> None:
    add.options(priority="high")  # type: ignore[arg-type]
    add.options(retries=3)  # type: ignore[call-arg]
    add.options(headers={"a": 1})  # type: ignore[dict-item]
    app.task(retrys=3)  # type: ignore[call-arg]
    app.task(retry_on="ValueError")  # type: ignore[arg-type]


async def wrong_results() -> None:
    number = await add.submit(1, 2)
    text: TaskHandle[str] = number  # type: ignore[assignment]
    word: str = await number.result()  # type: ignore[assignment]
    print(text, word)


async def a_forgotten_await() -> None:
    total: int = add(1, 2)  # type: ignore[assignment]
    print(total)


def wrong_middleware() -> None:
    def without_next(call: object) -> None: ...

    app.middleware.append(without_next)  # type: ignore[arg-type]
