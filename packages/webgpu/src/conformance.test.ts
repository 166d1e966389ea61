import { describeConformance } from '@rwkv-js/testing';
import { openWebGpu } from './index.ts';

describeConformance('webgpu', () => openWebGpu());
