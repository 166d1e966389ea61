import { build } from '../../tools/tsup.ts';

export default build();
