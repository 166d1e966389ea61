/**
 * Imports an installed peer. The file lies here because a name is looked up from the file that imports.
 *
 * @param {string} name
 * @returns {Promise<unknown>}
 */
export const importPeer = (name) => import(name);
