import { describeBinary } from '../../test/element-wise.ts';
import { multiply } from './multiply.ts';

describeBinary('multiply', multiply, (a, b) => a * b);
