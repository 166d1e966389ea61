import type { Container } from './container.ts';
import { gguf } from './gguf.ts';
import { rwkvCpp } from './rwkv-cpp.ts';
import { safetensors } from './safetensors.ts';
import { torchLegacy } from './torch-legacy.ts';
import { torchZip } from './torch-zip.ts';

/**
 * The file formats that are read, asked in this order: those with a magic first, safetensors, which
 * has none, last.
 */
export const containers: readonly Container[] = [torchZip, torchLegacy, gguf, rwkvCpp, safetensors];
