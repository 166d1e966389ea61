import { notify } from './notices.ts';

/**
 * Has the page kept for visits without a network. A new version waits until the user asks for it, so
 * that nothing changes under a conversation.
 */
export function registerServiceWorker(): void {
  if (!('serviceWorker' in navigator)) return;
  void navigator.serviceWorker.register('./service-worker.js').then(
    (registration) => {
      registration.addEventListener('updatefound', () => {
        const worker = registration.installing;
        worker?.addEventListener('statechange', () => {
          if (worker.state !== 'installed' || !navigator.serviceWorker.controller) return;
          notify({
            kind: 'information',
            title: 'There is a new version',
            text: 'It takes over when you reload. The conversation stays.',
            action: { label: 'Reload', run: () => takeOver(worker) },
          });
        });
      });
    },
    () => {
      // Private windows may refuse it: the page works, with a network.
    },
  );
}

function takeOver(worker: ServiceWorker): void {
  navigator.serviceWorker.addEventListener('controllerchange', () => location.reload());
  worker.postMessage('take over');
}
