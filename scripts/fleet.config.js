// A fleet under pm2:  pm2 start scripts/fleet.config.js && pm2 save
//
// One app, `streetvision fleet up`, which keeps the miners itself, each a process of its own. Settings are in fleet.toml in
// the repository's folder, or in the file that FLEET_FILE names. No secrets belong here. docs/fleet.md says more.
const os = require("os");
const path = require("path");

const root = path.resolve(__dirname, "..");
const name = `${process.env.STREETVISION_NAME || "streetvision"}-fleet`;
const logs = process.env.STREETVISION_LOGS || path.join(os.homedir(), ".streetvision", "logs");

module.exports = {
  apps: [
    {
      name,
      cwd: root,
      script: process.env.STREETVISION_PYTHON || path.join(root, ".venv", "bin", "python"),
      interpreter: "none",
      args: ["-m", "streetvision.cli", "fleet", "up"],

      // One fleet for a state folder: a second one would end at once.
      exec_mode: "fork",
      instances: 1,

      // A file that is wrong must not become a busy loop, and must not end in giving up either.
      autorestart: true,
      exp_backoff_restart_delay: 1000,
      min_uptime: 1000,
      max_restarts: 1000000,

      // `fleet up` alone gets the signal and ends its miners in order, each within 20 s; its own end does not end them.
      treekill: false,
      kill_timeout: 60000,

      watch: false,
      vizion: false,

      // What the fleet says; each miner has a log of its own, which `streetvision fleet logs` shows.
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
