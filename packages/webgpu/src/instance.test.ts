import { expect, test } from 'vitest';
import { withNodeFeatures } from './instance.ts';

test('Node asks Dawn for matrix units and for shaders as they are, beside what a caller asks for', () => {
  expect(withNodeFeatures(['backend=null'])).toEqual([
    'backend=null',
    'enable-dawn-features=allow_unsafe_apis,vulkan_enable_f16_on_nvidia,disable_robustness',
  ]);
  expect(withNodeFeatures(['enable-dawn-features=skip_validation', 'adapter=NVIDIA'])).toEqual([
    'adapter=NVIDIA',
    'enable-dawn-features=allow_unsafe_apis,vulkan_enable_f16_on_nvidia,disable_robustness,skip_validation',
  ]);
});

test('what a caller switches off is not asked for', () => {
  expect(
    withNodeFeatures(['disable-dawn-features=disable_robustness,allow_unsafe_apis']).at(-1),
  ).toBe('enable-dawn-features=vulkan_enable_f16_on_nvidia');
});
