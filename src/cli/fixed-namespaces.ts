import { basename, dirname, join } from 'node:path';
import { Namespaces } from '../system/namespaces.ts';

/** Watches the files that stand for namespaces which inputs name one by one (`network_namespace_path`). */
export class FixedNamespaces {
  readonly #changed: (path: string) => void;
  #watching: readonly Namespaces[] = [];

  /** `changed` is called with a path, as it was given, behind which there is another namespace now, or none. */
  constructor(changed: (path: string) => void) {
    this.#changed = changed;
  }

  /** Watches these files, and no others. Also tells of all that are there now. */
  watch(paths: readonly string[]): void {
    this.stop();
    const tell = (path: string) => paths.filter((one) => join(one) === path).forEach(this.#changed);
    const directories = new Set(paths.map((path) => dirname(join(path))));
    this.#watching = [...directories].map((directory) => {
      const names = new Set(paths.filter((path) => dirname(join(path)) === directory).map((path) => basename(path)));
      return new Namespaces(
        {
          matches: (name) => names.has(name),
          appeared: ({ path }) => tell(path),
          vanished: ({ path }) => tell(path),
          report() {}, // to start there has said what is wrong
        },
        directory,
      );
    });
    for (const one of this.#watching) one.start();
  }

  /** Tells nothing any more. */
  stop(): void {
    for (const one of this.#watching) one.stop();
    this.#watching = [];
  }
}
