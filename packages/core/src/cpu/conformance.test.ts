import { describeConformance } from '@rwkv-js/testing';
import { openCpu } from './device.ts';

describeConformance('the reference device in f32', () => openCpu());
