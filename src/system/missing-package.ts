/** Why a package of `optionalDependencies` could not be loaded, and what to do. */
export function missingPackage(name: string, error: unknown): Error {
  const { code, message } = error as NodeJS.ErrnoException;
  const why = code === 'ERR_MODULE_NOT_FOUND' ? 'is not installed' : `cannot be loaded (${message.split('\n')[0]})`;
  return new Error(`the package ${name} ${why}: npm install ${name}, in the folder of flowlogd`);
}
