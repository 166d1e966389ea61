import { render } from 'preact';
import { App } from './page/app.tsx';
import { registerServiceWorker } from './page/register-service-worker.ts';
import { begin } from './page/store.ts';
import './styles.css';

/** Put in by vite.config.ts: the server for developing has no service worker. */
declare const isBuilt: boolean;

render(<App />, document.getElementById('app')!);
void begin();
if (isBuilt) registerServiceWorker();
