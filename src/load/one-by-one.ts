/**
 * How modules are loaded that bring many others: one file after the other. import() opens all files that it has come to
 * know of at once, a hundred of them, and where a process may have few descriptors that is more than it may. Knows no
 * modules.
 */

/**
 * @param load by require(), which opens a file when the one before is closed. Names what was built.
 * @param fallback by import(): for versions of Node.js whose require() takes no ES modules (22.0 to 22.11), and for
 *   sources that are run unbuilt.
 */
export async function oneByOne<T>(load: () => T, fallback: () => Promise<T>): Promise<T> {
  if (!process.features.require_module) return await fallback();
  try {
    return load();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw error;
    return await fallback();
  }
}
