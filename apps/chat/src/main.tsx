import { render } from 'preact';
import { App } from './page/app.tsx';
import { registerServiceWorker } from './page/register-service-worker.ts';
import { begin } from './page/store.ts';
import './styles.css';

render(<App />, document.getElementById('app')!);
void begin();
if (import.meta.env.PROD) registerServiceWorker();
