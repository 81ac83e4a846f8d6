// The miner under pm2:  pm2 start scripts/ecosystem.config.js && pm2 save
//
// Settings are the miner's own: miner.env in the repository's folder (or the file that MINER_ENV names), the environment,
// and flags in `args` below. No secrets belong here. Several miners on one machine: fleet.config.js.
// docs/services.md says more.
const os = require("os");
const path = require("path");

const root = path.resolve(__dirname, "..");
const name = process.env.STREETVISION_NAME || "streetvision";
const logs = process.env.STREETVISION_LOGS || path.join(os.homedir(), ".streetvision", "logs");

module.exports = {
  apps: [
    {
      name,
      cwd: root,
      script: "neurons/miner.py",
      interpreter: process.env.STREETVISION_PYTHON || path.join(root, ".venv", "bin", "python"),
      args: [],

      // One process: it holds the GPU, the port and the state folder. Cluster mode is for Node alone.
      exec_mode: "fork",
      instances: 1,

      // Start again after whatever ended it (exit code 75: the GPU is lost and a new process may get it back), at first after a
      // second, then ever later up to 15 s: a chain that is away or a setting that is wrong must not become a busy loop, and
      // must not end in giving up either.
      autorestart: true,
      exp_backoff_restart_delay: 1000,
      min_uptime: 1000,
      max_restarts: 1000000,

      // The miner answers what is in flight (up to --drain_seconds, 9 s) and ends within 15 s of the signal; pm2's own
      // 1.6 s would kill it in the middle of an answer.
      kill_timeout: 20000,

      // A change of code or of a file in the state folder is no reason to drop requests. Updates are made by hand, by
      // version; see docs/updating.md.
      watch: false,
      vizion: false,

      // Both streams go to one file, whose lines carry their own times. Rotation: pm2-logrotate, or
      // scripts/streetvision.logrotate.
      out_file: path.join(logs, `${name}.log`),
      error_file: path.join(logs, `${name}.log`),
      merge_logs: true,
      time: false,

      env: {
        // glibc keeps a heap for every few threads; two are enough here and keep the resident size flat.
        MALLOC_ARENA_MAX: "2",
        PYTHONUNBUFFERED: "1",
      },
    },
  ],
};
