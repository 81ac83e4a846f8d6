"""The names by which operators know the settings: they stay, whatever becomes of the code behind them."""

from __future__ import annotations

from pathlib import Path

from streetvision.settings.fields import SETTINGS, variables
from streetvision.settings.flags import build_parser
from streetvision.settings.official import BY_FLAG

ROOT = Path(__file__).parents[2]

NAMES = """
    --netuid NETUID
    --wallet.name WALLET_NAME
    --wallet.hotkey WALLET_HOTKEY
    --wallet.path WALLET_PATH
    --wallet.hotkey_password_file WALLET_HOTKEY_PASSWORD_FILE
    --subtensor.network SUBTENSOR_NETWORK
    --subtensor.chain_endpoint SUBTENSOR_CHAIN_ENDPOINT
    --axon.port MINER_AXON_PORT BT_AXON_PORT
    --axon.ip BT_AXON_IP
    --axon.external_ip BT_AXON_EXTERNAL_IP
    --axon.external_port BT_AXON_EXTERNAL_PORT
    --axon.max_body_mib AXON_MAX_BODY_MIB
    --axon.requests_per_minute AXON_REQUESTS_PER_MINUTE
    --axon.deadline_margin AXON_DEADLINE_MARGIN
    --blacklist.force_validator_permit BLACKLIST_FORCE_VALIDATOR_PERMIT
    --blacklist.allow_non_registered BLACKLIST_ALLOW_NON_REGISTERED
    --blacklist.min_stake BLACKLIST_MIN_STAKE
    --model MODEL_URL MODEL
    --model.repo MODEL_REPO
    --model.full_pay_days MODEL_FULL_PAY_DAYS
    --model.max_age_days MODEL_MAX_AGE_DAYS
    --device DEVICE
    --compile MODEL_COMPILE
    --threads MODEL_THREADS
    --precision MODEL_PRECISION
    --runner MODEL_RUNNER
    --backend BACKEND
    --backend.in_flight BACKEND_IN_FLIGHT
    --backend.batch BACKEND_BATCH
    --ray.address RAY_ADDRESS
    --ray.host RAY_HOST
    --ray.port RAY_PORT
    --ray.dashboard_port RAY_DASHBOARD_PORT
    --ray.object_store_mib RAY_OBJECT_STORE_MIB
    --ray.models RAY_MODELS
    --ray.gpus RAY_GPUS
    --ray.cpus RAY_CPUS
    --ray.memory_mib RAY_MEMORY_MIB
    --ray.min_replicas RAY_MIN_REPLICAS
    --ray.max_replicas RAY_MAX_REPLICAS
    --ray.most_models RAY_MOST_MODELS
    --modal.app MODAL_APP
    --modal.environment MODAL_ENVIRONMENT
    --modal.card MODAL_CARD
    --modal.warm MODAL_WARM
    --modal.most MODAL_MOST
    --modal.idle_s MODAL_IDLE_S
    --modal.month_usd MODAL_MONTH_USD
    --views.max_seconds VIEWS_MAX_SECONDS
    --engine.max_megapixels ENGINE_MAX_MEGAPIXELS
    --engine.decode_memory_mib ENGINE_DECODE_MEMORY_MIB
    --rollout.shadow_share ROLLOUT_SHADOW_SHARE
    --rollout.canary_share ROLLOUT_CANARY_SHARE
    --rollout.min_samples ROLLOUT_MIN_SAMPLES
    --rollout.min_agreement ROLLOUT_MIN_AGREEMENT
    --rollout.max_error_rate ROLLOUT_MAX_ERROR_RATE
    --rollout.max_p99_ratio ROLLOUT_MAX_P99_RATIO
    --rollout.max_shift ROLLOUT_MAX_SHIFT
    --rollout.keep_minutes ROLLOUT_KEEP_MINUTES
    --register REGISTER
    --register.max_burn REGISTER_MAX_BURN
    --register.pow_seconds REGISTER_POW_SECONDS
    --state_dir STREETVISION_STATE_DIR
    --log.enabled LOG_ENABLED
    --log.max_gib LOG_MAX_GIB
    --log.max_days LOG_MAX_DAYS
    --logging.debug LOGGING_DEBUG
    --logging.json LOGGING_JSON
    --metrics.port METRICS_PORT
    --metrics.address METRICS_ADDRESS
    --metrics.hosts METRICS_HOSTS
    --drain_seconds DRAIN_SECONDS
    --mock.block_time MOCK_BLOCK_TIME
    --mock.tempo MOCK_TEMPO
    --mock.registered MOCK_REGISTERED
    --alerts.name ALERTS_NAME
    --alerts.discord_url ALERTS_DISCORD_URL
    --alerts.slack_url ALERTS_SLACK_URL
    --alerts.telegram_token ALERTS_TELEGRAM_TOKEN
    --alerts.telegram_chat ALERTS_TELEGRAM_CHAT
    --alerts.webhook_url ALERTS_WEBHOOK_URL
    --alerts.webhook_secret ALERTS_WEBHOOK_SECRET
    --alerts.ping_url ALERTS_PING_URL
    --alerts.ping_minutes ALERTS_PING_MINUTES
    --alerts.ping_method ALERTS_PING_METHOD
    --alerts.ping_on_critical ALERTS_PING_ON_CRITICAL
    --alerts.quiet_hours ALERTS_QUIET_HOURS
    --alerts.digest ALERTS_DIGEST
    --alerts.news ALERTS_NEWS
    --alerts.time_zone ALERTS_TIME_ZONE
    --alerts.reminder_hours ALERTS_REMINDER_HOURS
    --retrain.schedule RETRAIN_SCHEDULE
    --retrain.jitter_minutes RETRAIN_JITTER_MINUTES
    --retrain.datasets RETRAIN_DATASETS
    --retrain.frozen RETRAIN_FROZEN
    --retrain.mine RETRAIN_MINE
    --retrain.min_labels RETRAIN_MIN_LABELS
    --retrain.recipe RETRAIN_RECIPE
    --retrain.device RETRAIN_DEVICE
    --retrain.on RETRAIN_ON
    --retrain.usd RETRAIN_USD
    --retrain.gpu_share RETRAIN_GPU_SHARE
    --retrain.memory_gib RETRAIN_MEMORY_GIB
    --retrain.nice RETRAIN_NICE
    --retrain.max_hours RETRAIN_MAX_HOURS
    --retrain.gpu_hours RETRAIN_GPU_HOURS
    --retrain.gpu_price RETRAIN_GPU_PRICE
    --retrain.budget RETRAIN_BUDGET
    --retrain.accept RETRAIN_ACCEPT
    --retrain.min_agreement RETRAIN_MIN_AGREEMENT
    --retrain.max_loss RETRAIN_MAX_LOSS
    --retrain.max_doubt RETRAIN_MAX_DOUBT
    --retrain.deploy RETRAIN_DEPLOY
    --retrain.shadow_minutes RETRAIN_SHADOW_MINUTES
    --retrain.canary_share RETRAIN_CANARY_SHARE
    --retrain.canary_minutes RETRAIN_CANARY_MINUTES
    --retrain.publish RETRAIN_PUBLISH
    --retrain.tracking RETRAIN_TRACKING
    --retrain.max_idle_days RETRAIN_MAX_IDLE_DAYS
    --oracle.url ORACLE_URL
    --oracle.key ORACLE_KEY
    --oracle.model ORACLE_MODEL
    --oracle.crops ORACLE_CROPS
    --oracle.pixels ORACLE_PIXELS
    --oracle.examples ORACLE_EXAMPLES
    --oracle.shots ORACLE_SHOTS
    --oracle.answer_tokens ORACLE_ANSWER_TOKENS
    --oracle.timeout_s ORACLE_TIMEOUT_S
    --oracle.concurrency ORACLE_CONCURRENCY
    --oracle.per_minute ORACLE_PER_MINUTE
    --oracle.input_price ORACLE_INPUT_PRICE
    --oracle.output_price ORACLE_OUTPUT_PRICE
    --oracle.price_date ORACLE_PRICE_DATE
    --oracle.day_tokens ORACLE_DAY_TOKENS
    --oracle.month_tokens ORACLE_MONTH_TOKENS
    --oracle.day_money ORACLE_DAY_MONEY
    --oracle.month_money ORACLE_MONTH_MONEY
    --oracle.retrain_pictures ORACLE_RETRAIN_PICTURES
    --synthetic.back_end SYNTHETIC_BACK_END
    --synthetic.kinds SYNTHETIC_KINDS
    --synthetic.count SYNTHETIC_COUNT
    --synthetic.max_share SYNTHETIC_MAX_SHARE
    --synthetic.trust SYNTHETIC_TRUST
    --synthetic.url SYNTHETIC_URL
    --synthetic.key SYNTHETIC_KEY
    --synthetic.model SYNTHETIC_MODEL
    --synthetic.region SYNTHETIC_REGION
    --synthetic.price SYNTHETIC_PRICE
    --synthetic.budget SYNTHETIC_BUDGET
    --synthetic.daily SYNTHETIC_DAILY
    --video.twelvelabs VIDEO_TWELVELABS
    --video.region VIDEO_REGION
    --video.pegasus VIDEO_PEGASUS
    --video.marengo VIDEO_MARENGO
    --video.minute_price VIDEO_MINUTE_PRICE
    --video.token_price VIDEO_TOKEN_PRICE
    --video.frame_price VIDEO_FRAME_PRICE
    --video.search_price VIDEO_SEARCH_PRICE
    --video.budget VIDEO_BUDGET
"""
"""A flag and its variables a line, in the order of the help and of miner.env.example."""

TABLE = [line.split() for line in NAMES.split("\n") if line.strip()]


def test_flags_and_variables_keep_their_names_and_order() -> None:
    assert [[item.flag, *item.env] for item in SETTINGS] == TABLE


def test_the_parser_knows_these_flags_in_this_order() -> None:
    actions = build_parser()._actions
    flags = [flag for action in actions for flag in action.option_strings if flag not in BY_FLAG]
    assert flags == ["-h", "--help", "--env_file", *(flag for flag, *_ in TABLE)]


def test_the_environment_is_read_by_these_names() -> None:
    own = [name for _, *names in TABLE for name in names]
    assert [name for name in variables() if not name.endswith("_FILE") or name in own] == own


def test_the_example_file_has_this_order() -> None:
    lines = (ROOT / "miner.env.example").read_text().splitlines()
    assert [line[1:].partition("=")[0] for line in lines if line.startswith("#") and line[1:2].isupper()] == [
        env for _, env, *_ in TABLE
    ]
