import { build } from '../../tools/tsup.ts';

export default build({ main: 'src/main.ts' });
