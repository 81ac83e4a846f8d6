"""The thresholds of the rules, each with its reason. One value holds them all: pass another to judge otherwise."""

from __future__ import annotations

from dataclasses import dataclass

HOUR = 3600.0
DAY = 24 * HOUR
SECONDS_PER_BLOCK = 12.0


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Every docstring gives the reason."""

    # -- the subnet ----------------------------------------------------------------------------------------------------
    halted_burn: float = 0.99
    """A burn share from which the subnet counts as halted: rounding of u16 scores leaves crumbs below 1."""
    resumed_burn: float = 0.9
    """Halted goes on until the burn share is below this: validators return one by one, and a flap is one event."""
    resumed_epochs: int = 2
    """Epochs in a row below `resumed_burn` that end a halt: one alone may be a single validator's weights."""
    idle_tempos: float = 1.5
    """Tempos without any validator's weights that count as idle, unless this subnet is used to more: validators set
    weights at least once a tempo, and with half a tempo of delay an epoch runs on what was given before."""
    idle_factor: float = 2.0
    """Times the longest usual pause between weights of the last week."""

    idle_most_tempos: float = 6.0
    """However slow this subnet's validators usually are: a long halt must not teach that halts are usual."""

    subnet_change_days: float = 7.0
    """A change of the subnet's owner or name is told for this long: an operator looks at least once a week."""

    # -- the backend ---------------------------------------------------------------------------------------------------
    backend_away_s: float = 120.0
    """A cold start loads and warms a model within this; what is down for longer costs answers under load."""

    # -- the way here --------------------------------------------------------------------------------------------------
    lost_requests: int = 3
    """Within an hour: a trial or two by hand is nothing."""
    lost_share: float = 0.05
    """Share of the requests that arrive whole; below it, it is an experiment or a stranger's imitation."""
    lost_quiet_s: float = 600.0
    """After this long without a proven request none gets through: validators ask every minute or so."""

    # -- registration --------------------------------------------------------------------------------------------------
    risk_critical_days: float = 1.0
    """Estimated time left: within a day there is one working evening to act."""
    risk_warning_days: float = 3.0
    """The immunity that a new registration would buy lasts as long: a plan for it fits in."""
    risk_places: int = 3
    """Out of immunity and this near the front, a burst of registrations within an hour evicts: a warning whatever the
    usual pace is."""
    immunity_warning_h: float = 24.0
    """Before immunity ends with nothing earned: a model can still be changed and judged for twenty tempos."""
    immunity_places: int = 10
    """Places from the front at which the end of immunity matters: about a day's registrations on a busy subnet."""

    # -- earning -------------------------------------------------------------------------------------------------------
    fall_tempos: int = 3
    """Tempos of the present: the reward's window of 100 challenges makes one tempo alone noisy."""
    base_tempos: int = 20
    """Tempos of the past to compare with: a day, so that day and night are both in it."""
    least_base_tempos: int = 5
    """Below this there is no past to speak of."""
    emission_fall: float = 0.3
    """Share of emission lost over `fall_tempos`: twice what weights usually wander."""
    emission_crash: float = 0.5
    """Share lost in one tempo that needs no second look."""
    emission_decline: float = 0.25
    """Share lost between a day's mean and that of the day a week before: what a slow decline comes to."""
    rank_fall: float = 0.1
    """Share of the field that must have passed us: 25 of 250 miners."""
    least_rank_fall: int = 5
    """In a small field a few places are noise."""
    rank_noise: float = 4.0
    """Times the usual deviation of the rank (median of absolute deviations) that a fall must exceed."""

    # -- requests ------------------------------------------------------------------------------------------------------
    silence_s: float = 20 * 60.0
    """Least silence worth a word: validators pause between rounds."""
    silence_factor: float = 2.0
    """Times the longest usual gap at this time of day, learned from the last week's days, the worst one left out."""
    silence_expected: float = 15.0
    """Rounds of requests that would usually have come meanwhile, where a round is what usually comes together: that
    none of 15 came has a chance of e^-15, one in three million."""
    silence_blind_s: float = 3 * HOUR
    """Silence that counts while there is less than a day of traffic to learn from."""
    failing_share: float = 0.1
    """Unanswered share of an hour's requests: each scores 0 and a tenth of the reward is gone."""
    failing_critical: float = 0.5
    """Most requests unanswered."""
    failing_requests: int = 10
    """Fewer requests say nothing about a share; as many failures alone are enough."""
    recent_s: float = HOUR
    """The present, for shares and latencies: long enough to hold answers, within a tempo."""
    headroom_s: float = 1.0
    """Seconds that 99 of 100 answers must have to spare: a burst of large photos takes that."""
    headroom_answers: int = 30
    """Fewer answers have no 99th percentile."""
    late_share: float = 0.05
    """Share of requests too late that is critical: each scores 0."""
    one_class_answers: int = 40
    """Least answers in one class that can mean something."""
    one_class_chance: float = 1e-6
    """How improbable a run of one class must be under the last week's mix: checked each minute for years."""
    one_class_minority: float = 0.2
    """Share of the rarer class assumed before a week is known: the public set is 4 to 1."""
    drift_answers: int = 150
    """Answers in the sample of now: enough that a major shift stands out of the noise, an hour's at real traffic."""
    drift_base_answers: int = 500
    """Answers of the last week below which there is nothing to drift from."""
    drift_psi: float = 0.25
    """Population stability index that credit scoring calls a major shift; sampling noise is allowed on top."""
    silent_validator_s: float = DAY
    """How long we must have listened before a validator counts as never asking: rounds may be hours apart."""
    silent_validator_stake: float = 0.01
    """Share of the validators' stake that matters: below it, it decides nothing."""

    # -- endpoint, chain, clock ----------------------------------------------------------------------------------------
    endpoint_grace_s: float = 15 * 60.0
    """The chain allows a publication every 50 blocks, ten minutes."""
    proof_of_reach_s: float = 30 * 60.0
    """A validator's request this recent proves that the port is reachable, whatever a probe says."""
    stale_s: float = 600.0
    """A snapshot is due each minute: ten missed ones are no hiccup."""
    stale_critical_s: float = HOUR
    """By then endpoints, permits and stakes have changed."""
    skew_s: float = 5.0
    """More than propagation, polling and transit explain; the stock nonce window is 4 s plus the timeout."""
    skew_critical_s: float = 15.0
    """Near the 20 s beyond which the axon does not follow: from there requests are refused."""
    refused_s: float = 300.0
    """After this long without an accepted request, refusals for a wrong time mean that our clock is wrong."""
    skew_points: int = 5
    """Snapshots of which the least offset counts: delays only add."""
    block_delay_s: float = 18.0
    """Offset of block time that is no skew: one block of 12 s, propagation and a poll every 6 s."""
    skew_validators: int = 2
    """One validator alone may be the one whose clock is wrong."""
    node_lag_s: float = 120.0
    """Age of the newest block from which on a node counts as lagging at once and its word on the subnet is not judged:
    ten blocks are no matter of propagation."""

    # -- machine -------------------------------------------------------------------------------------------------------
    crashes: int = 3
    """One crash may be an accident, two a power cut; three in a row are a loop."""
    crash_window_s: float = 2 * HOUR
    """Long enough for a dozen starts at the longest pause between them."""
    disk_share: float = 0.05
    """Free share of the disk that is too little: file systems keep about this much for themselves."""
    disk_bytes: int = 2 * 2**30
    """Free bytes that suffice however large the disk is: a day of photos."""
    disk_critical_bytes: int = 256 * 2**20
    """Below this SQLite and logs fail within hours."""
    memory_share: float = 0.1
    """Available share below which one burst of large photos ends in the kernel killing a process."""
    memory_critical_share: float = 0.03
    """The kernel is about to choose."""
    gpu_share: float = 0.03
    """Free share of GPU memory: a CUDA graph's replay needs none, a model swap needs a second model."""
    gpu_celsius: float = 87.0
    """Data-centre GPUs slow down from here on."""

    # -- retraining ----------------------------------------------------------------------------------------------------
    decision_days: float = 7.0
    """For so long the end of the last run is told: an operator looks at least once a week."""
    promotion_days: float = 1.0
    """A promotion asks for nothing: it is in one day's digest and on one day's page."""


THRESHOLDS = Thresholds()
