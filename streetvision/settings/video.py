"""The settings of videos: what may be sent to TwelveLabs' models on Amazon Bedrock, and what that costs."""

from __future__ import annotations

from dataclasses import dataclass

from streetvision.settings.parsing import declare, number, parse_bool

REGION = "VIDEO_REGION"
"""The variable of the region, as sentences name it: the commands of videos take none of these settings as flags."""
_CHECK = "As far as known in November 2026; look it up in the price list of Bedrock for your region."


@dataclass(frozen=True, kw_only=True)
class VideoSettings:
    """Second opinions on videos: `--video.*`."""

    twelvelabs: bool = declare(
        False,
        "Let `streetvision video ask` and `streetvision video search` send clips and frames to TwelveLabs' models on "
        "Amazon Bedrock, which costs money; each command shows the cost and asks first.",
        parse_bool,
    )
    region: str = declare("", "AWS region of Bedrock; empty: AWS_REGION, or what the AWS profile says.", str)
    pegasus: str = declare("us.twelvelabs.pegasus-1-5-v1:0", "Model or inference profile that judges clips.", str)
    marengo: str = declare("twelvelabs.marengo-embed-3-0-v1:0", "Model that embeds frames and words for search.", str)
    minute_price: float = declare(0.0294, f"Dollars for a minute of video at Pegasus. {_CHECK}", number(0.0, 1000.0))
    token_price: float = declare(0.0075, f"Dollars for 1,000 tokens that Pegasus writes. {_CHECK}", number(0.0, 100.0))
    frame_price: float = declare(0.1, f"Dollars for 1,000 frames or pictures at Marengo. {_CHECK}", number(0.0, 1000.0))
    search_price: float = declare(
        0.07, f"Dollars for 1,000 searches by words at Marengo. {_CHECK}", number(0.0, 1000.0)
    )
    budget: float | None = declare(
        None, "Dollars that videos may cost in a calendar month (UTC); empty: no bound.", number(0.0, 1e6)
    )
