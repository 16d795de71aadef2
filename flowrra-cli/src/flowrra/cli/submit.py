"""``flowrra submit``: queue a task from the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import click

from flowrra.cli.output import output_option

if TYPE_CHECKING:
    from flowrra.app import Flowrra
    from flowrra.result import TaskResult


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("target", metavar="MODULE:APP")
@click.argument("task")
@click.argument("arguments", nargs=-1, metavar="[ARGUMENT]...")
@click.option("--kwargs", metavar="OBJECT", help="Keyword arguments, a JSON object.")
@click.option("--queue", metavar="NAME", help="The queue to join.")
@click.option("--priority", type=int, metavar="N", help="-512 to 511; the lower number runs first.")
@click.option("--delay", type=float, metavar="SECONDS", help="How long to wait before it may run.")
@click.option("--wait", is_flag=True, help="Wait for the result and print it.")
@click.option("--timeout", type=float, metavar="SECONDS", help="How long --wait waits.  [default: for ever]")
@output_option
def submit(
    target: str,
    task: str,
    arguments: tuple[str, ...],
    kwargs: str | None,
    queue: str | None,
    priority: int | None,
    delay: float | None,
    wait: bool,
    timeout: float | None,
) -> int:
    """Submit TASK of MODULE:APP and print its id. Every ARGUMENT is JSON.

    \b
    flowrra submit tasks:app add 1 2
    flowrra submit tasks:app greet '"World"' --kwargs '{"polite": true}' --wait
    """  # noqa: D301  (click reads the character)
    from flowrra.cli.session import ask, require_shared_queue
    from flowrra.cli.target import load_app

    args = [_json(text, f"argument {number}") for number, text in enumerate(arguments, 1)]
    keywords = _object(kwargs)
    app = load_app(target)
    found = app.find_task(task)
    require_shared_queue(app, "submit")
    try:
        signature = found.options(queue=queue, priority=priority, delay=delay).signature(*args, **keywords)
        [handle] = ask(app, lambda _: app.submit_many([signature]))
    except (TypeError, ValueError) as error:
        raise click.UsageError(str(error)) from None
    return _wait(app, handle.id, timeout) if wait else _announce(handle.id)


def _json(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        quoted = json.dumps(text, ensure_ascii=False)
        raise click.UsageError(f"{what}, {text}, is no JSON; as a text it is written '{quoted}'") from None


def _object(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    value = _json(text, "--kwargs")
    if not isinstance(value, dict):
        raise click.UsageError(f"--kwargs is {text}; a JSON object is needed, such as '{{\"name\": 1}}'")
    return cast("dict[str, Any]", value)


def _announce(task_id: str) -> int:
    from flowrra.cli.output import show

    show({"id": task_id}, lambda console: console.print(task_id))
    return 0


def _wait(app: Flowrra, task_id: str, timeout: float | None) -> int:
    from flowrra.cli.output import show
    from flowrra.cli.runlog import line
    from flowrra.cli.session import ask
    from flowrra.exceptions import TaskTimeoutError

    try:
        result: TaskResult = ask(app, lambda _: app.wait_for_result(task_id, timeout))
    except TaskTimeoutError as error:
        raise click.ClickException(f"{error}; is a worker running? flowrra worker MODULE:APP") from None
    show(result, lambda console: console.print(line(result), markup=False))
    return 0 if result.is_success else 1
