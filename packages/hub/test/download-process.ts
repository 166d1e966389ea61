/** Fetches an address into a folder and prints the sum, in a process of its own. */
import { download, openCache } from '../src/index.ts';

const [address = '', folder = ''] = process.argv.slice(2);
const [complete] = await download([address], { cache: await openCache({ folder }) });
console.log(`sha256 ${complete?.sha256}`);
