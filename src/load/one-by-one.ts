/**
 * Loads modules with many dependencies one file at a time. import() opens all files that it knows of at once, a hundred
 * of them, which can exceed a low limit on descriptors. Knows no modules.
 */

/**
 * Loads a module.
 *
 * @param load uses require(), which opens a file only after closing the one before; it names the built file.
 * @param fallback uses import(): for Node.js versions whose require() accepts no ES modules (22.0 to 22.11), and for
 *   sources that run unbuilt.
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
