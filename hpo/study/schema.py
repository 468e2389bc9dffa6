"""The schema of studies/*.toml, and the identity of a study."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Unpack

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, StringConstraints, model_validator

from hpo.core.protocols import Holdout, Resources, TrainableRef
from hpo.core.records import LARGEST_SEED, MAX_TRIALS, Objective, digest
from hpo.seeds.derived import Purpose, derive_seed
from hpo.stats.names import Ddof, RuleName
from hpo.stats.scoring import Rule
from hpo.study import space
from hpo.study.command import CommandTable
from hpo.study.dimension import DimensionTable, Scalar
from hpo.study.objective import SECONDS, MetricName, ObjectiveTable, with_defaults
from hpo.study.options import DEFAULT_SAMPLER, PRUNERS, SAMPLERS, PrunerName, SamplerName, non_defaults
from hpo.study.preference import PreferTable, named, or_text
from hpo.study.race import RaceTable
from hpo.study.resources_table import ResourcesTable
from hpo.study.results import ResultsTable
from hpo.study.table import Finite, Table, each_once, exactly
from hpo.study.validation_table import Validation

if TYPE_CHECKING:
    from hpo.study.building import StudyContent

NAME = r"[a-z0-9][a-z0-9._-]{0,63}"

StudyName = Annotated[str, StringConstraints(pattern=f"^{NAME}$")]

Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]


class Search(Table):
    """How trials are proposed, pruned and counted.

    Attributes:
        sampler: name of the sampler, which proposes params; or `module:Class`, see `hpo.study.plugins`.
        sampler_options: arguments of Optuna's sampler; see `hpo.study.options`.
        pruner: name of the pruner, which ends bad trials early; or `module:Class`.
        pruner_options: arguments of Optuna's pruner.
        trials: number of trials of the study.
        constraints: names of metrics that must be 0 or less at the step whose value counts; a trial that violates one
            is neither incumbent nor candidate.
        cost: name of a metric above 0 that says what a training costs, or `seconds`, the time that it takes; the
            sampler then looks for improvement per cost, see `hpo.search.costs`.
        until: value of the objective that ends the search once it is reached; with a lag, once it is known.
        patience: number of trials in a row without improvement that end the search; None: no limit.
        budget: epochs of each trial.
        seed: seed of every trial, or the seed from which trials' seeds are derived.
        seeding: `fixed`; `per-trial`: one seed per trial; `replicated`: several seeds, the same for every trial.
        replicates: number of seeds of replicated trials.
        lambda_: the value of a replicated trial is the mean over its seeds - lambda * sigma (ddof 0).
        sampler_seed: seed of the sampler; None: the same as `seed`.
        lag: trial n is proposed and pruned with the results of trials <= n - lag; False: with all known results, which
            depends on timing and is not reproducible; None: `resources.slots`.
        max_failures: number of failed trials in a row that end the search.
        enqueue: configurations to try before the sampler's own, like those of `--enqueue`; the sampler draws omitted
            params. Not part of the identity: configurations may be added later.
        prior: names of finished studies in the same storage that the search starts from. Their values are read once,
            before the first trial, and stored with the study.
    """

    sampler: SamplerName = DEFAULT_SAMPLER
    sampler_options: dict[str, object] = Field(default_factory=dict)
    pruner: PrunerName = "median"
    pruner_options: dict[str, object] = Field(default_factory=dict)
    trials: Annotated[int, Field(ge=1, le=MAX_TRIALS)] = 20
    constraints: Annotated[tuple[MetricName, ...], Field(strict=False), AfterValidator(each_once)] = ()
    cost: MetricName | None = None
    until: Finite | None = None
    patience: Annotated[int, Field(ge=1, le=MAX_TRIALS)] | None = None
    budget: Annotated[int, Field(ge=1, le=1_000_000)]
    seed: Seed = 41
    seeding: Literal["fixed", "per-trial", "replicated"] = "fixed"
    replicates: Annotated[int, Field(ge=2, le=1000)] = 3
    lambda_: Annotated[Finite, Field(alias="lambda", ge=0)] = 0.0
    sampler_seed: Seed | None = None
    lag: Annotated[int, Field(ge=1, le=10_000)] | Annotated[Literal[False], exactly(False)] | None = None
    max_failures: Annotated[int, Field(ge=1, le=MAX_TRIALS)] = 5
    enqueue: Annotated[tuple[dict[str, Scalar], ...], Field(strict=False)] = ()
    prior: Annotated[tuple[StudyName, ...], Field(strict=False), AfterValidator(each_once)] = ()

    @property
    def seeds_text(self) -> str:
        """The seeds behind a trial's value as text, e.g. `seed 41`."""
        return {
            "fixed": f"seed {self.seed}",
            "per-trial": "one seed per trial",
            "replicated": f"{self.replicates} seeds",
        }[self.seeding]

    @model_validator(mode="after")
    def _replicates_are_not_pruned(self) -> Search:
        if self.seeding == "replicated" and self.pruner != "none":
            raise ValueError(
                'replicated trials cannot be pruned: their value is known only after all seeds; set pruner = "none"'
            )
        return self


def _distinct(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(seeds)) != len(seeds):
        raise ValueError("a seed is given twice; replicates must differ")
    return seeds


class PromotionRules(Table):
    """How the winner of a promotion is chosen.

    Attributes:
        top: number of trials to retrain.
        seeds: seeds of the replicates.
        rule: rule that ranks the candidates; see `hpo.stats.names.RuleName`.
        lambda_: weight of sigma in the score.
        ddof: estimator of sigma: 0 divides by n, 1 by n - 1, `unbiased` also corrects the bias of the square root.
        race: the settings of a promotion by race; None: all candidates are trained under all seeds.
        prefer: how the winner of several objectives is chosen from the front; None: its knee.
    """

    top: Annotated[int, Field(ge=1, le=10_000)] = 3
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, strict=False), AfterValidator(_distinct)] = (42, 43, 44)
    rule: RuleName = "mean-std"
    lambda_: Annotated[Finite, Field(alias="lambda", ge=0)] = 1.0
    ddof: Annotated[Ddof, exactly(0, 1, "unbiased")] = 0
    race: RaceTable | None = None
    prefer: Annotated[PreferTable, BeforeValidator(named)] | None = Field(default=None, json_schema_extra=or_text)

    @property
    def preference(self) -> PreferTable:
        """How the winner is chosen where there are several objectives."""
        return self.prefer or PreferTable()

    @property
    def score(self) -> Rule:
        """The rule that turns replicates into a score."""
        return Rule(name=self.rule, lambda_=self.lambda_, ddof=self.ddof)

    @model_validator(mode="after")
    def _enough_seeds(self) -> PromotionRules:
        if len(self.seeds) < self.score.min_values:
            raise ValueError(
                f"rule {self.rule} with ddof {self.ddof} needs {self.score.min_values} seeds, got {len(self.seeds)}"
            )
        return self


StreamMode = Annotated[Literal["fixed", "per-seed"], exactly("fixed", "per-seed")]
"""`fixed`: the stream always uses the search's seed; `per-seed`, the default: it uses the training's seed."""


class Study(Table):
    """The search problem: objective, space, trainable, search and promotion rules.

    Attributes:
        name: name of the study, also of its file.
        trainable: the function that trains, as `module:function`; a study has either this or `[command]`.
        command_: the program that trains, in any language.
        objective_: the metric to optimize, or several.
        space_: the params that the search varies, and their ranges.
        fixed: params with one value, the same in every trial.
        search: how trials are proposed, pruned and counted.
        promotion: how candidates are trained again and ranked.
        validation_: cross-validation, a test part, or metrics over units; None: trainings split their data themselves.
        streams_: a seed for each source of randomness: `"per-seed"`, the default, follows the seed of the training;
            `"fixed"` is the search's seed under every seed; a number is that seed.
        resources_: resources and limits of one training.
        results: which trials of the search keep their files.
    """

    name: StudyName
    trainable: str = ""
    command_: CommandTable | None = Field(default=None, alias="command")
    objective_: ObjectiveTable = Field(alias="objective")
    space_: dict[str, DimensionTable] = Field(alias="space", min_length=1)
    fixed: dict[str, Scalar] = Field(default_factory=dict)
    search: Search
    promotion: PromotionRules = Field(default_factory=lambda: PromotionRules())
    validation_: Validation | None = Field(default=None, alias="validation")
    streams_: dict[str, Seed | StreamMode] = Field(default_factory=dict, alias="streams")
    resources_: ResourcesTable = Field(default_factory=ResourcesTable, alias="resources")
    results: ResultsTable = Field(default_factory=ResultsTable)
    _root: Path = PrivateAttr(default_factory=Path.cwd)
    _function: Callable[..., Any] | None = PrivateAttr(None)

    def __init__(self, **content: Unpack[StudyContent]) -> None:
        """Checks a study made in Python in the same way as one from a file.

        Args:
            content: the content of a study file, see `hpo.study.building.StudyContent`; the trainable may be the
                function itself, and the space may use `hpo.Float`, `hpo.Int` and `hpo.Choice`.

        Raises:
            StudyInvalid: if it has problems; the message lists all of them.
            UsageError: if the trainable is callable but not a function.

        Examples:
            >>> study = hpo.Study(
            ...     name="bowl", trainable="fit:train", objective=hpo.maximize("val_acc"),
            ...     space={"x": hpo.Float(0.0, 1.0)}, search={"trials": 4, "budget": 1},
            ... )
            >>> study.objective.metric, study.search.trials, study.promotion.seeds
            ('val_acc', 4, (42, 43, 44))
        """
        from hpo.study.building import content_of  # these import this class
        from hpo.study.functions import find_function
        from hpo.study.validation import raise_problems

        tables, found = content_of(content), None
        if callable(tables.get("trainable")):
            found = find_function(tables["trainable"])
            tables["trainable"] = found.path
        raise_problems(tables)
        super().__init__(**tables)
        if found is not None:
            self._root, self._function = found.root, found.function

    @model_validator(mode="before")
    @classmethod
    def _has_defaults_of_its_objectives(cls, content: object) -> object:
        return with_defaults(content) if isinstance(content, Mapping) else content

    # Files and the database use `model_validate`; pydantic would call this __init__ there too.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # pydantic's own mark of its __init__

    @property
    def root(self) -> Path:
        """The project's folder, which contains the studies folder and is added to the import path."""
        return self._root

    @property
    def objective(self) -> Objective:
        """The metric to optimize."""
        cost = "" if self.search.cost in (None, SECONDS) else self.search.cost
        return self.objective_.objective(self.search.constraints, cost)

    @property
    def streams(self) -> dict[str, int]:
        """The seeds of the streams that are fixed, i.e. the same under every seed."""
        seeds = {name: self.search.seed if value == "fixed" else value for name, value in self.streams_.items()}
        return {name: value for name, value in seeds.items() if not isinstance(value, str)}

    @property
    def validation(self) -> Validation | None:
        """The cross-validation; None if a job is one training."""
        return self.validation_ if self.validation_ is not None and self.validation_.folds else None

    @property
    def resources(self) -> Resources:
        """The resources of one training."""
        return Resources(**self.resources_.model_dump(exclude={"slots", "price_per_hour"}))

    @property
    def space(self) -> dict[str, space.Dimension]:
        """The dimensions by name, parents of conditional ones first."""
        dimensions = {name: table.dimension() for name, table in self.space_.items()}
        return {name: dimensions[name] for name in space.in_order(dimensions)}

    @property
    def ref(self) -> TrainableRef:
        """The reference to the trainable."""
        return TrainableRef(
            path=self.trainable,
            root=str(self._root),
            objective=self.objective,
            fixed=self.fixed,
            folds=self.validation.folds if self.validation else 0,
            function=self._function,
            command=self.command_.command() if self.command_ else None,
            holdout=None
            if self.validation_ is None or self.validation_.test is None
            else Holdout(share=self.validation_.test, seed=derive_seed(self.search.seed, Purpose.TEST)),
            units=self.validation_.chosen_units if self.validation_ else None,
        )

    @property
    def trainings(self) -> int:
        """Trainings per job: one per fold."""
        return self.validation.trainings if self.validation else 1

    @property
    def steps(self) -> int:
        """Number of values that the pruner sees of a trial: one per epoch, or one per fold."""
        return self.validation.trainings if self.validation else self.search.budget

    @property
    def sampler_seed(self) -> int:
        """The seed from which the sampler's seeds are derived."""
        return self.search.seed if self.search.sampler_seed is None else self.search.sampler_seed

    def search_seeds(self, number: int) -> tuple[int, ...]:
        """Returns the seeds that trial `number` trains under in the search."""
        first = self.search.seed
        if self.search.seeding == "per-trial":
            return (derive_seed(first, Purpose.SEARCH, number),)
        if self.search.seeding == "replicated":
            return (
                first,
                *(derive_seed(first, Purpose.SEARCH, replicate) for replicate in range(1, self.search.replicates)),
            )
        return (first,)

    @property
    def common_seeds(self) -> tuple[int, ...]:
        """The seeds that all trials of the search share; empty if each trial has its own."""
        return () if self.search.seeding == "per-trial" else self.search_seeds(0)

    @property
    def lag(self) -> int | Literal[False]:
        """The lag: trial n uses the results of trials up to n - lag; False: all known results. See `Search.lag`."""
        return self.resources_.slots if self.search.lag is None else self.search.lag

    @property
    def sampler_options(self) -> dict[str, Any]:
        """The sampler's options that differ from their defaults."""
        return non_defaults(SAMPLERS.get(self.search.sampler), self.search.sampler_options)

    @property
    def pruner_options(self) -> dict[str, Any]:
        """The pruner's options that differ from their defaults."""
        return non_defaults(PRUNERS.get(self.search.pruner), self.search.pruner_options)

    def located(self, root: Path) -> Study:
        """Returns a copy of this study with the given project folder."""
        copy = self.model_copy()
        copy._root = root
        return copy

    def to_toml(self, path: str | Path | None = None, *, replace: bool = False) -> str:
        """Returns the study as TOML, and writes it to a file if `path` is given.

        Args:
            path: the folder of study files, or the file; None: nothing is written.
            replace: whether a file with different content is overwritten.

        Raises:
            UsageError: if the trainable is a function of this session, or the file exists or has the wrong name.
        """
        from hpo.study.writing import text_of, write_study  # these import this class

        return text_of(self) if path is None else write_study(self, path, replace=replace)

    def content(self) -> dict[str, Any]:
        """Returns the content of the file with defaults filled in, as JSON values."""
        content = self.model_dump(mode="json", by_alias=True)
        content["search"]["lag"] = self.lag
        del content["command" if self.command_ is None else "trainable"]
        validation = content.pop("validation")
        if validation is not None:  # the keys that a study does not use would change its digest
            unused = {"folds", "repeats"} if self.validation is None else set()
            content["validation"] = {
                key: value for key, value in validation.items() if key not in unused and value is not None
            }
        content["resources"] = {name: value for name, value in content["resources"].items() if value is not None}
        if self.promotion.race is None:
            del content["promotion"]["race"]
        for key in ("enqueue", "prior", "cost"):
            if not content["search"][key]:
                del content["search"][key]
        for key in ("ignore", "metrics", "label"):
            if not content["objective"][key]:
                del content["objective"][key]
        if self.promotion.prefer is None:
            del content["promotion"]["prefer"]
        if self.results == ResultsTable():
            del content["results"]
        return content

    @property
    def digest(self) -> str:
        """sha256 of the canonical JSON of the content."""
        return digest(self.content())

    def identity(self) -> dict[str, str]:
        """Returns the identity as texts by key: trials of studies with different identities are not comparable.

        The number of trials, the promotion and the resources may change. Threads affect bits; the fingerprint has them.
        """
        texts = {f"space.{name}": str(dimension) for name, dimension in self.space.items()}
        texts["space"] = ", ".join(self.space)  # the sampler draws in this order
        texts |= {f"fixed.{name}": repr(value) for name, value in self.fixed.items()}
        texts |= {f"streams.{name}": str(value) for name, value in self.streams.items()}
        texts |= {
            **(self.command_.identity() if self.command_ else {"trainable": self.trainable}),
            "objective": f"{self.objective}, {self.objective.epoch} epoch",
        }
        fields = ("sampler", "pruner", "budget", "seed")
        texts |= {f"search.{name}": str(getattr(self.search, name)) for name in fields}
        texts |= {"search.lag": str(self.lag).lower()}
        for table, options in (("sampler", self.sampler_options), ("pruner", self.pruner_options)):
            texts |= {f"search.{table}_options.{name}": repr(value) for name, value in sorted(options.items())}
        for name in ("seeding", "cost"):
            if (given := getattr(self.search, name)) not in ("fixed", None):
                texts[f"search.{name}"] = given
        if self.search.seeding == "replicated":
            texts["search.replicates"] = f"{self.search.replicates}, lambda {self.search.lambda_:g}"
        if self.validation is not None:
            texts["validation"] = str(self.validation)
        if self.validation_ is not None and self.validation_.test is not None:
            texts["validation.test"] = f"{self.validation_.test:g}"
        if self.search.prior:
            texts["search.prior"] = ", ".join(self.search.prior)
        if (units := self.ref.units) is not None:
            texts["validation.units"] = f"{units.name}, {units.aggregate}"
        if self.search.constraints:
            texts["search.constraints"] = ", ".join(sorted(self.search.constraints))
        return texts | {"search.sampler_seed": str(self.sampler_seed)}


def json_schema() -> dict[str, Any]:
    """Returns the JSON schema of a study file, for editors that complete and check TOML."""
    one_of = [{"required": ["trainable"]}, {"required": ["command"]}]
    schema = Study.model_json_schema(by_alias=True)
    table = schema["properties"]["objective"]
    schema["properties"]["objective"] = {"anyOf": [table, {"type": "array", "items": table}]}  # [[objective]]
    return {**schema, "oneOf": one_of}
