"""How the command line reads and shows commands: `hpo run digits` is `hpo run --study digits`, flags show no type."""

from __future__ import annotations

from typing import Any

from typer.core import TyperArgument, TyperCommand, TyperGroup

STUDY = "study"
"""Name of the option that may also be given without it."""


class HpoCommand(TyperCommand):
    """A command whose flags show no type in its help."""

    def get_params(self, ctx: Any) -> Any:
        return _with_plain_flags(super().get_params(ctx))


class StudyCommand(HpoCommand):
    """A command that takes its study with or without `--study`."""

    def make_parser(self, ctx: Any) -> Any:
        parser: Any = super().make_parser(ctx)
        option = self._study(ctx)
        if option is not None and ctx.meta.get(STUDY):
            parser.add_argument(option, dest=STUDY)
            parser._args.insert(0, parser._args.pop())  # the study is named before other arguments
        return parser

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.meta[STUDY] = self._is_named_alone(ctx, args)
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        pieces = super().collect_usage_pieces(ctx)
        return [pieces[0], "[STUDY]", *pieces[1:]] if self._study(ctx) is not None else pieces

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        option = self._study(ctx)
        names = []
        if option is not None and not incomplete.startswith("-") and not ctx.params.get(STUDY):
            names = option.shell_complete(ctx, incomplete)
        return [*names, *super().shell_complete(ctx, incomplete)]

    def _study(self, ctx: Any) -> Any:
        return next((one for one in self.get_params(ctx) if one.name == STUDY), None)

    def _is_named_alone(self, ctx: Any, args: list[str]) -> bool:
        """Whether the first word that belongs to no option is the study's name."""
        if self._study(ctx) is None:
            return False
        ctx.meta[STUDY] = False
        parser: Any = self.make_parser(ctx)
        parser._args.clear()  # only options are taken out
        resilient, ctx.resilient_parsing = ctx.resilient_parsing, True  # a wrong option is reported later
        given, words, _ = parser.parse_args(args=list(args))
        ctx.resilient_parsing = resilient
        own = sum(one.nargs for one in self.get_params(ctx) if isinstance(one, TyperArgument) and one.nargs > 0)
        return STUDY not in given and len(words) > own and not words[0].startswith("-")


class HpoGroup(TyperGroup):
    """A group of commands whose flags show no type in its help."""

    def get_params(self, ctx: Any) -> Any:
        return _with_plain_flags(super().get_params(ctx))


def _with_plain_flags(params: Any) -> Any:
    for one in params:
        if getattr(one, "is_flag", False) and one.metavar is None:
            one.metavar = ""
    return params
