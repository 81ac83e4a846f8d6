// Retraining by night under pm2, beside the miner:  pm2 start scripts/retrain.config.js && pm2 save
//
// Settings are the miner's own: miner.env in the repository's folder, or the file that MINER_ENV names. Several miners on one
// machine: give each a STREETVISION_NAME, as in ecosystem.config.js. docs/retraining.md says more.
const os = require("os");
const path = require("path");

const root = path.resolve(__dirname, "..");
const name = `${process.env.STREETVISION_NAME || "streetvision"}-retrain`;
const logs = process.env.STREETVISION_LOGS || path.join(os.homedir(), ".streetvision", "logs");

module.exports = {
  apps: [
    {
      name,
      cwd: root,
      script: process.env.STREETVISION_PYTHON || path.join(root, ".venv", "bin", "python"),
      interpreter: "none",
      args: ["-m", "streetvision.cli", "retrain", "serve"],

      // One schedule for a state folder: a second one would end at once.
      exec_mode: "fork",
      instances: 1,

      // A setting that is wrong must not become a busy loop.
      autorestart: true,
      exp_backoff_restart_delay: 1000,
      min_uptime: 1000,
      max_restarts: 1000000,

      // A run that is asked to stop saves what it has learned, within 240 s.
      kill_timeout: 300000,

      // Training writes in the state folder all night.
      watch: false,
      vizion: false,

      out_file: path.join(logs, `${name}.log`),
      error_file: path.join(logs, `${name}.log`),
      merge_logs: true,
      time: false,

      env: {
        MALLOC_ARENA_MAX: "2",
        PYTHONUNBUFFERED: "1",
      },
    },
  ],
};
