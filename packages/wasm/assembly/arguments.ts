/** What a kernel is given: addresses of its buffers, and numbers as doubles. */

// @ts-ignore: decorator
@inline
export function buffer(buffers: usize, at: i32): usize {
  return load<u32>(buffers + (<usize>at << 2));
}

// @ts-ignore: decorator
@inline
export function integer(scalars: usize, at: i32): i32 {
  return <i32>load<f64>(scalars + (<usize>at << 3));
}

// @ts-ignore: decorator
@inline
export function float(scalars: usize, at: i32): f32 {
  return <f32>load<f64>(scalars + (<usize>at << 3));
}
