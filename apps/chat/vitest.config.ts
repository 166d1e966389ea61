import { defineConfig } from 'vitest/config';

// Tests run under Node: not with the page's configuration, which looks for what is made for browsers.
export default defineConfig({});
