import { describeBinary } from '../../test/element-wise.ts';
import { add } from './add.ts';

describeBinary('add', add, (a, b) => a + b);
