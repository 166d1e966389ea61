import { describeBinary } from '../../test/element-wise.ts';
import { subtract } from './subtract.ts';

describeBinary('subtract', subtract, (a, b) => a - b);
