"""`streetvision synthesise`: variations of labelled pictures, made, checked, judged and counted."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streetvision.base.spending import money, spent_of
from streetvision.cli.agreeing import agree
from streetvision.cli.shared import AsJson, StateDir, miner_settings, print_json, progress_bar, stopping
from streetvision.errors import EXIT_FAILED, EXIT_STOPPED, ConfigError, OperatorError
from streetvision.settings.settings import Settings

if TYPE_CHECKING:
    from streetvision.labelling.oracle import LabelOracle
    from streetvision.sources.dataset import Example
    from streetvision.synthesis.back_end import BackEnd
    from streetvision.synthesis.making import MadeReport, Maker
    from streetvision.synthesis.model_opinion import LaterOpinion, ModelOpinion
    from streetvision.synthesis.planning import Wish
    from streetvision.synthesis.store import SynthesisStore

app = typer.Typer(
    no_args_is_help=True, help="Variations of labelled pictures: by night, in rain, with other works or without."
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="Of the set of variations, which is made if there is none.")]
Data = Annotated[list[str], typer.Option(metavar="NAME", help="A dataset whose pictures are varied; may be repeated.")]
Model = Annotated[str, typer.Option(help="Model that says which pictures are hard, and what variations add.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N. Default: the miner's.")]


@app.command()
def run(
    *,
    name: Name,
    data: Data,
    back_end: Annotated[
        str | None, typer.Option(help="local, cosmos, bedrock or vllm-omni. Default: --synthetic.back_end, or local.")
    ] = None,
    kinds: Annotated[str | None, typer.Option(help="Kinds separated by commas. Default: --synthetic.kinds.")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="At most. Default: --synthetic.count.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another one makes other variations.")] = 0,
    order: Annotated[str, typer.Option(help="hard: what the model finds hardest first; or random.")] = "hard",
    model: Model = "bundled",
    device: Device = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before pictures leave this machine.")] = False,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Make variations; the same command again goes on where it stopped, and makes what is not made yet."""
    settings = _wanted(miner_settings(state_dir), back_end, kinds, count)
    if order not in ("hard", "random"):
        raise ConfigError(f"--order is hard or random, not {order!r:.40}")
    parents = _parents(data, settings)
    from streetvision.synthesis.back_ends.opening import open_back_end
    from streetvision.synthesis.making import STOPPED, Bounds, Maker
    from streetvision.synthesis.model_opinion import LaterOpinion
    from streetvision.synthesis.store import open_store
    from streetvision.synthesis.varying import wishes_for

    opinion = LaterOpinion(lambda: _opinion(settings, model, device))
    with open_store(settings.state_dir) as store, closing(open_back_end(settings.synthetic)) as asked:
        store.set_folder(name)
        typer.echo(f"{asked.name}: {asked.check()}", err=True)
        parents = _ordered(parents, order, seed, opinion)
        wishes = wishes_for(store, name, settings.synthetic, back_end=asked, parents=parents, seed=seed)
        _confirm(store, settings, asked, len(wishes), yes=yes)
        wanted = settings.synthetic
        bounds = Bounds(wanted.price, wanted.budget, wanted.daily)
        report = _make(Maker(store, name, asked, _oracle(settings, opinion), bounds, wanted.trust), wishes)
        _show(name, store, report, as_json)
    if report.ended:
        raise typer.Exit(EXIT_STOPPED if report.ended == STOPPED else EXIT_FAILED)


@app.command()
def pays(
    *,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of a set of variations.")],
    data: Data,
    model: Model = "bundled",
    device: Device = None,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """What each kind adds: a probe on the model's embeddings learns with and without, ten times over."""
    settings = miner_settings(state_dir)
    parents = _parents(data, settings)
    from streetvision.cli.synthesise_reports import ablation_report
    from streetvision.synthesis.model_opinion import LaterOpinion
    from streetvision.synthesis.store import open_store
    from streetvision.synthesis.varying import drawn, fields_of, judge_variations

    opinion = LaterOpinion(lambda: _opinion(settings, model, device))
    with open_store(settings.state_dir) as store:
        made = store.kept(_existing(store, name))
        chosen = drawn(parents)
        with progress_bar("embedding", len(chosen) + len(made)) as progress:
            found = fields_of(judge_variations(chosen, made, opinion, progress))
        store.note_ablation(name, datetime.now(UTC).isoformat(timespec="seconds"), found)
    if as_json:
        print_json({"kind": "ablation", "set": name, **found})
    else:
        sys.stdout.write(ablation_report(found) + "\n")


@app.command()
def stats(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Of a set; default: all.")] = None,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """What was made, dropped and spent, by kind, and what the last look at its use found."""
    from streetvision.cli.synthesise_reports import stats_report
    from streetvision.synthesis.store import reading_store

    settings = miner_settings(state_dir)
    with reading_store(settings.state_dir) as store:
        names = store.sets() if name is None else [_existing(store, name)]
        for one in names:
            fields = store.stats(one)
            if as_json:
                print_json({"kind": "variations", **fields})
            else:
                sys.stdout.write(stats_report(fields) + "\n")
    if not names:
        typer.echo("no variations yet: streetvision synthesise run NAME --data DATASET", err=True)


def _wanted(settings: Settings, back_end: str | None, kinds: str | None, count: int | None) -> Settings:
    """The settings with what the command says; ConfigError for what they cannot be."""
    from streetvision.settings.synthetic import BACK_ENDS
    from streetvision.synthesis.kinds import kinds_named

    wanted = settings.synthetic
    chosen = back_end or wanted.back_end or "local"
    if chosen not in BACK_ENDS:
        raise ConfigError(f"--back_end is {', '.join(BACK_ENDS)}, not {chosen!r:.40}")
    changed = replace(wanted, back_end=chosen, kinds=kinds or wanted.kinds, count=count or wanted.count)
    if chosen == "local":
        changed = replace(changed, price=0.0)
    kinds_named(changed.kind_names)
    return replace(settings, synthetic=changed)


def _parents(data: list[str], settings: Settings) -> list[Example]:
    from streetvision.sources.opening import open_dataset
    from streetvision.synthesis.planning import parents_of

    opened = [open_dataset(name, state=settings.state_dir) for name in dict.fromkeys(data)]
    parents = parents_of([one for dataset in opened for one in dataset.examples()])
    if not parents:
        raise OperatorError(
            f"{', '.join(data)} has no picture to learn from (variations are made of the split `train` alone): add it "
            "with `streetvision data add`, which splits it"
        )
    return parents


def _ordered(parents: list[Example], order: str, seed: int, opinion: LaterOpinion) -> list[Example]:
    from streetvision.synthesis.varying import drawn, hardest_first

    if order == "random":
        return drawn(parents, len(parents), seed)
    model = opinion.opened
    with progress_bar("looking for hard pictures", len(parents)) as progress:
        return hardest_first(parents, model, progress)


def _opinion(settings: Settings, model: str, device: str | None) -> ModelOpinion:
    from streetvision.miner.model_choice import choose_checkpoint
    from streetvision.synthesis.model_opinion import open_opinion

    checkpoint = choose_checkpoint(replace(settings, model=replace(settings.model, choice=model)))
    return open_opinion(checkpoint, device or settings.device)


def _oracle(settings: Settings, opinion: LaterOpinion) -> LabelOracle:
    """A larger model where one is configured, else the one that is here."""
    if not settings.oracle.is_configured:
        return opinion
    from streetvision.labelling.chat_oracle import ChatOracle

    return ChatOracle(settings.oracle, settings.state_dir)


def _confirm(store: SynthesisStore, settings: Settings, back_end: BackEnd, count: int, *, yes: bool) -> None:
    """Say what it costs, and ask before anything is sent; OperatorError unless the operator agrees."""
    wanted, month = settings.synthetic, datetime.now(UTC).isoformat()[:7]
    said = f"{count:,} variations by {back_end.name}"
    if not back_end.remote:
        typer.echo(f"{said}, on this machine and for nothing", err=True)
        return
    priced = f"{money(count * wanted.price)} ({wanted.price:g} each)"
    cost = priced if wanted.price else "nothing, as SYNTHETIC_PRICE says"
    spent = f"; {spent_of(store.spent(month), wanted.budget)} spent this month" if wanted.price else ""
    agree(f"{said}: the pictures leave this machine, and it costs {cost}{spent}", yes=yes or not count)


def _make(maker: Maker, wishes: list[Wish]) -> MadeReport:
    with progress_bar("making variations", len(wishes)) as progress, stopping("stopping after this one") as stop:
        return maker.make(wishes, progress=progress, stop=stop)


def _show(name: str, store: SynthesisStore, report: MadeReport, as_json: bool) -> None:
    from streetvision.cli.synthesise_reports import made_report

    fields: dict[str, Any] = {
        "set": name,
        "kept": dict(report.kept),
        "left_out": dict(report.left_out),
        "spent": report.spent,
        "ended": report.ended,
        "folder": str(store.set_folder(name)),
    }
    if as_json:
        print_json({"kind": "made", **fields})
    else:
        sys.stdout.write(made_report(fields) + "\n")


def _existing(store: SynthesisStore, name: str) -> str:
    if name not in store.sets():
        there = ", ".join(store.sets())
        raise OperatorError(f"There is no set of variations {name!r:.80}: " + (f"there is {there}." if there else
                            "make one with `streetvision synthesise run`."))  # fmt: skip
    return name
