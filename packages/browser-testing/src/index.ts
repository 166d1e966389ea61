export { describeBrowser } from './describe-browser.ts';
export { openBrowser, useBrowser, type OpenBrowserOptions } from './open-browser.ts';
export { openPage, type OpenPageOptions, type TestPage } from './page.ts';
