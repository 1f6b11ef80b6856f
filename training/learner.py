"""What a run trains: the models of a pair with their adapters and projections, and which weights each loss moves."""

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from pydantic import ValidationError
from torch import nn
from transformers import PreTrainedModel

from semiparametric.errors import InputError
from semiparametric.formats import Passage
from semiparametric.spec import PairSpec, PassageForm, Projection, QueryFolder
from training.loss import Objective
from training.model import CoSupervisedModel, projection
from training.scratch import Start, starting_point
from training.settings import TrainSettings

if TYPE_CHECKING:
    from peft import PeftModel


@dataclass
class Learner:
    """The models of a run.

    Attributes:
        start: Models and tokenizers as they were loaded or made; adapters were put into them in place.
        model: The trainable whole.
        adapters: By part of the model (`gen`, `embseq`, `query`), where adapters are trained.
        trainable: Names of the weights that training may move.
    """

    start: Start
    model: CoSupervisedModel
    adapters: dict[str, "PeftModel"] = field(default_factory=dict)
    trainable: frozenset[str] = frozenset()

    @property
    def saved(self) -> frozenset[str] | None:
        """Names of the weights that checkpoints hold; None for all. Frozen ones come from the base models again."""
        return self.trainable if self.adapters else None

    def prepare(self, objective: Objective, *, by_text: bool) -> None:
        """Set the objective, and freeze what it does not reach: several processes would wait for its gradient.

        Args:
            objective: What to minimise.
            by_text: Whether lookups are made with the text so far, so that Gen has no part in them.
        """
        self.model.objective = objective
        gen = objective.trains_tokens or not by_text
        lookups = objective.trains_lookups
        reached = {"gen": gen, "embseq": lookups, "query": lookups and by_text}
        body = set(map(id, self.model.gen.base_model.parameters()))
        head = {id(weight) for weight in _head(self.model.gen).parameters()} - body
        for name, weight in self.model.named_parameters():
            moves = reached.get(name.split(".")[0], lookups) and name in self.trainable
            weight.requires_grad_(moves and (objective.trains_tokens or id(weight) not in head))

    @torch.no_grad()
    def start_from_gen(self) -> None:
        """Let Embseq (and the encoder of the text so far) begin as Gen's first layers are now.

        Both then begin in one space, as the paper's two Llamas do: what Gen has learned of words in its pretraining
        serves lookups too.
        """
        source = dict(self.start.gen.base_model.named_parameters())
        for part in (self.model.embseq, self.model.query):
            if part is not None:
                for name, weight in part.named_parameters():
                    weight.copy_(source[name])


def make_learner(settings: TrainSettings, samples: Iterable[Passage]) -> Learner:
    """Load or make the models; the same settings give the same weights in every process.

    Raises:
        PairError: A base model cannot be loaded.
        InputError: A setting does not fit the models.
    """
    start = starting_point(settings, samples)
    query = copy.deepcopy(start.embseq) if settings.encoder == "dual" else None
    spec = _spec(settings, start)
    asking = _asking(settings, start)
    parts = {"gen": start.gen, "embseq": start.embseq, "query": query}
    distinct = {name: part for name, part in parts.items() if part is not None}
    if settings.supervision == "shared":
        del distinct["embseq"]
    for part in distinct.values():
        _set_up(part, settings)
    adapters = _adapters(distinct, settings, start) if settings.lora.rank else {}
    model = CoSupervisedModel(
        start.gen,
        start.embseq,
        spec,
        Objective("ntp"),
        query=query,
        query_projection=None if asking is None else projection(_width(asking), spec.dimension),
        sequence_projection=projection(_width(start.embseq), spec.dimension),
        gather=settings.gather,
    )
    trainable = frozenset(name for name, weight in model.named_parameters() if weight.requires_grad)
    return Learner(start, model, adapters, trainable)


def computes_on_cpu(settings: TrainSettings) -> bool:
    """Whether the run uses no GPU."""
    return settings.device == "cpu" or (settings.device == "auto" and not torch.cuda.is_available())


_QUERY_FOLDERS: dict[str, QueryFolder] = {"shared": "embseq", "dual": "query"}


def _asking(settings: TrainSettings, start: Start) -> PreTrainedModel | None:
    """A model of the width of what makes queries; None where Embseq does, which projects them as it does passages."""
    if settings.supervision != "separate":
        return start.gen
    return start.embseq if settings.encoder == "dual" else None


def _spec(settings: TrainSettings, start: Start) -> PairSpec:
    dimension = settings.dimension or _width(start.gen)
    by_text = settings.supervision == "separate"
    asking = _asking(settings, start)
    projected = {
        "query": asking is not None and _width(asking) != dimension,
        "sequence": _width(start.embseq) != dimension,
    }
    try:
        return PairSpec(
            control=start.control,
            prompt=settings.prompt,
            passage=PassageForm(template=settings.passage_template, max_tokens=settings.passage_max_tokens),
            pooling=settings.pooling,
            similarity=settings.similarity,
            temperature=settings.temperature,
            dimension=dimension,
            query="text" if by_text else "state",
            query_folder=_QUERY_FOLDERS[settings.encoder] if by_text else None,
            shared=settings.supervision == "shared",
            projection=Projection(**projected) if any(projected.values()) else None,
            leading_dimensions=tuple(settings.leading_dimensions),
            training=settings.model_dump(
                mode="json", exclude={"out", "corpus", "train", "held_out", "restart", "threads"}
            ),
        )
    except ValidationError as error:
        raise InputError(error.errors(include_url=False)[0]["msg"], where="settings") from error


def _set_up(part: PreTrainedModel, settings: TrainSettings) -> None:
    if computes_on_cpu(settings):
        # The backward pass of fused attention took a third of a step of short sequences, plain attention a tenth.
        part.set_attn_implementation("eager")
    if settings.gradient_checkpointing:
        part.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})


def _adapters(parts: dict[str, PreTrainedModel], settings: TrainSettings, start: Start) -> dict[str, "PeftModel"]:
    from training.lora import add_adapters

    new_tokens = {"gen": sorted(start.control.ids)}
    return {
        name: add_adapters(part, settings.lora, new_tokens=new_tokens.get(name, ())) for name, part in parts.items()
    }


def _width(model: PreTrainedModel) -> int:
    width: int = model.config.get_text_config().hidden_size
    return width


def _head(model: PreTrainedModel) -> nn.Module:
    head: nn.Module = model.get_output_embeddings()
    return head
