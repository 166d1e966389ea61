import { spawnSync } from 'node:child_process';
spawnSync('npx', ['--yes', 'pnpm@10.34.9', 'install', '--frozen-lockfile'], { stdio: 'inherit' });
