export { describeBrowser } from './describe-browser.ts';
export { openPage, type OpenPageOptions, type TestPage } from './page.ts';
