import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { ListenAddress } from '../config/listen-address.ts';

/** Connections at a time; whoever comes beyond is turned away. */
const CONNECTIONS = 32;
/** Milliseconds for a request to arrive; an idle connection is kept as long. */
const PATIENCE = 10_000;
const MAX_HEADER = 8 << 10;

/** What a page answers. */
export interface Page {
  readonly status: number;
  readonly type: string;
  readonly text: string;
}

/** Pages by path, made when they are asked for. */
export type Pages = Readonly<Record<string, () => Page | Promise<Page>>>;

/** A page of plain text. */
export const plainPage = (status: number, text: string): Page => ({
  status,
  type: 'text/plain; charset=utf-8',
  text: `${text}\n`,
});

/** Serves pages that only read: GET and HEAD, no arguments, no bodies. Who asks for one that is being made gets that one. */
export class WebServer {
  readonly #server: Server;
  readonly #pages: Pages;
  readonly #beingMade = new Map<string, Promise<Page>>();

  private constructor(pages: Pages) {
    this.#pages = pages;
    const limits = { maxHeaderSize: MAX_HEADER, requestTimeout: PATIENCE, headersTimeout: PATIENCE };
    this.#server = createServer({ ...limits, keepAliveTimeout: PATIENCE }, (request, response) => {
      request.resume(); // a body is nothing to us
      void this.#answer(request, response);
    });
    this.#server.maxConnections = CONNECTIONS;
  }

  /** Rejects with ErrnoException when the address cannot be had. */
  static listen({ host, port }: ListenAddress, pages: Pages): Promise<WebServer> {
    const web = new WebServer(pages);
    return new Promise((done, fail) => {
      web.#server.once('error', fail);
      web.#server.listen({ port, host }, () => {
        web.#server.off('error', fail);
        done(web);
      });
    });
  }

  /** The port that it listens at: of use when the configuration leaves the choice to the kernel (0). */
  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  /** Has errors of the socket reported. */
  onError(report: (error: Error) => void): void {
    this.#server.on('error', report);
  }

  close(): Promise<void> {
    this.#server.closeAllConnections();
    return new Promise((done) => this.#server.close(() => done()));
  }

  async #answer({ method, url = '/' }: IncomingMessage, response: ServerResponse): Promise<void> {
    const { status, type, text } = await this.#pageFor(method, url.split('?', 1)[0] as string);
    const body = Buffer.from(text);
    response.writeHead(status, { 'Content-Type': type, 'Content-Length': body.length, 'Cache-Control': 'no-store' });
    response.end(method === 'HEAD' ? undefined : body);
  }

  #pageFor(method: string | undefined, path: string): Page | Promise<Page> {
    if (method !== 'GET' && method !== 'HEAD') return plainPage(405, 'only GET and HEAD');
    if (!Object.hasOwn(this.#pages, path)) {
      return plainPage(404, `there is nothing here but ${Object.keys(this.#pages).join(', ')}`);
    }
    const running = this.#beingMade.get(path);
    if (running !== undefined) return running;
    const made = this.#make(path).finally(() => this.#beingMade.delete(path));
    this.#beingMade.set(path, made);
    return made;
  }

  async #make(path: string): Promise<Page> {
    try {
      return await this.#pages[path]!();
    } catch (error) {
      return plainPage(500, error instanceof Error ? error.message : String(error));
    }
  }
}
