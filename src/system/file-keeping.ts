/** Space that is to stay free on a file system: bytes and a share of its size, of which one is 0. */
export interface MinFree {
  readonly bytes: number;
  readonly share: number;
}

/** How much room a file leaves on the disk, when the next one is begun, and what becomes of the full ones. */
export interface FileKeeping {
  readonly minFree: MinFree;
  /** Bytes that a file does not exceed; 0 when its size does not matter. */
  readonly rotateSize: number;
  /** Milliseconds after which the next record begins a new file; 0 when age does not matter. */
  readonly rotateAge: number;
  /** Full files that are kept; 0 for all. */
  readonly keep: number;
  /** Compress full files. */
  readonly compress: boolean;
}

/** One file that grows for ever, on a disk that may become full. */
export const ONE_FILE: FileKeeping = {
  minFree: { bytes: 0, share: 0 },
  rotateSize: 0,
  rotateAge: 0,
  keep: 0,
  compress: false,
};
