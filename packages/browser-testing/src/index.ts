export { describeBrowser } from './describe-browser.ts';
export { softwareWebGpu, type OpenBrowserOptions } from './launch-browser.ts';
export type { OpenPageOptions, TestPage } from './launch-page.ts';
export { openBrowser, useBrowser } from './open-browser.ts';
export { openPage } from './page.ts';
