import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { type Pages, plainPage, WebServer } from '../../../src/control/web-server.ts';

let web: WebServer | undefined;
afterEach(async () => {
  await web?.close();
  web = undefined;
});

async function serve(pages: Pages): Promise<string> {
  web = await WebServer.listen({ host: '127.0.0.1', port: 0 }, pages);
  return `http://127.0.0.1:${web.port}`;
}

test('a page, its head, a page that is not there, and what is no reading', async () => {
  const url = await serve({ '/healthz': () => plainPage(200, 'ok'), '/readyz': () => plainPage(503, 'not yet') });
  const page = await fetch(`${url}/healthz?from=a`);
  expect([page.status, page.headers.get('content-type'), await page.text()]).toEqual([
    200,
    'text/plain; charset=utf-8',
    'ok\n',
  ]);
  const head = await fetch(`${url}/healthz`, { method: 'HEAD' });
  expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([200, '3', '']);
  expect((await fetch(`${url}/readyz`)).status).toBe(503);
  const missing = await fetch(`${url}/constructor`);
  expect([missing.status, await missing.text()]).toEqual([404, 'there is nothing here but /healthz, /readyz\n']);
  expect((await fetch(`${url}/healthz`, { method: 'POST', body: 'x'.repeat(1 << 20) })).status).toBe(405);
});

test('a page that cannot be made is an answer, too', async () => {
  const url = await serve({
    '/broken': () => {
      throw new Error('a thread does not answer');
    },
  });
  const page = await fetch(`${url}/broken`);
  expect([page.status, await page.text()]).toEqual([500, 'a thread does not answer\n']);
});

test('whoever asks for a page that is being made gets that one', async () => {
  let made = 0;
  let finish = () => {};
  const url = await serve({
    '/slow': () =>
      new Promise((done) => {
        made++;
        finish = () => done(plainPage(200, `number ${made}`));
      }),
  });
  const first = fetch(`${url}/slow`);
  await expect.poll(() => made).toBe(1);
  const second = fetch(`${url}/slow`);
  await fetch(`${url}/`); // the second request has come by now
  finish();
  expect(await Promise.all([first, second].map(async (one) => (await one).text()))).toEqual([
    'number 1\n',
    'number 1\n',
  ]);
});

test('an address in use is refused', async () => {
  await serve({});
  const second = WebServer.listen({ host: '127.0.0.1', port: web?.port ?? 0 }, {});
  await expect(second).rejects.toMatchObject({ code: 'EADDRINUSE' });
});

test('garbage and endless headers end their connection, and nobody else’s', async () => {
  const url = await serve({ '/healthz': () => plainPage(200, 'ok') });
  for (const bytes of ['\0\x01\x02\n\n', `GET / HTTP/1.1\r\nX: ${'y'.repeat(100_000)}\r\n\r\n`]) {
    const socket = connect(web?.port ?? 0, '127.0.0.1');
    socket.on('error', () => {});
    socket.resume();
    socket.write(bytes);
    await once(socket, 'close').catch(() => {});
  }
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
});
