import { defineConfig } from 'vitest/config';

// These tests change nothing that others see: one process for all of them starts many times faster.
export default defineConfig({ test: { isolate: false } });
