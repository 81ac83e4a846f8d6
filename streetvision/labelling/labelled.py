"""An oracle's labels as a source to learn from: marked as its own, weighed by trust, never in place of a person's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from streetvision.engine.types import BadImage
from streetvision.labelling.pictures import LOG
from streetvision.labelling.verdicts import Verdict, Verdicts
from streetvision.labelling.views import read_checked
from streetvision.sources.mined import LICENCE
from streetvision.sources.source import UNKNOWN_LICENCE, Amount, Item, SourcePicture, Unusable


class OracleLabels:
    """What one oracle labelled, without what people labelled, what it is unsure of, and files that are gone."""

    grows = True

    def __init__(self, verdicts: Verdicts, source: str) -> None:
        """`source` is where the pictures come from, as their `Picture.source` says."""
        self.name = f"oracle:{verdicts.asker}"
        self._pictures = tuple(
            one
            for one in verdicts.pictures
            if one.trust > 0 and one.picture.human is None and one.picture.source == source
        )

    def __len__(self) -> int:
        return len(self._after(None))

    def amount(self, after: str | None = None) -> Amount:
        """Pictures after the key."""
        return Amount(len(self._after(after)))

    def pictures(self, after: str | None = None) -> Iterator[Item]:
        """In the order of their digests."""
        for one in self._after(after):
            yield self._item(one)

    def _after(self, after: str | None) -> Sequence[Verdict]:
        """A file that the log has evicted is passed over, so that a dataset keeps the copy that it has."""
        return [one for one in self._pictures if one.picture.sha256 > (after or "") and one.picture.path.is_file()]

    def _item(self, one: Verdict) -> Item:
        picture = one.picture
        try:
            data = read_checked(picture.path, picture.sha256)
        except BadImage as error:
            return Unusable(picture.sha256, str(error))
        tags = {
            "certainty": f"{one.certainty:.3f}",
            "objects": ", ".join(one.votes.objects),
            "reason": one.votes.remark,
        }
        return SourcePicture(
            key=picture.sha256,
            data=data,
            label=one.label == "roadwork",
            group=picture.place or picture.sha256,
            licence=LICENCE if picture.source == LOG else UNKNOWN_LICENCE,
            labelled_by=self.name,
            trust=one.trust,
            tags={name: value for name, value in tags.items() if value},
        )
