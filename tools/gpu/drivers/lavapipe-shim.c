/*
 * Makes the software driver lavapipe of Debian 12 (Mesa 22.3) acceptable to Dawn, for tests. Dawn asks for two
 * features that this driver does not report: arrays of sampled and of storage images indexed by a variable.
 * Compute never uses them, so this driver says that it has them, and takes them out again when a device
 * is made; all else goes straight to lavapipe.
 *
 *   gcc -O2 -shared -fPIC -o liblavapipe-shim.so lavapipe-shim.c -ldl
 */
#define VK_NO_PROTOTYPES
#include <vulkan/vulkan.h>
#include <dlfcn.h>
#include <string.h>
typedef PFN_vkVoidFunction (*Gpa)(VkInstance, const char*);
static Gpa ipa, pdpa; static VkResult (*neg)(uint32_t*);
static PFN_vkGetPhysicalDeviceFeatures f1; static PFN_vkGetPhysicalDeviceFeatures2 f2; static PFN_vkCreateDevice cd;
static void load(void){ if(ipa) return; void*h=dlopen("libvulkan_lvp.so",RTLD_NOW|RTLD_LOCAL); if(!h) return;
  ipa=(Gpa)dlsym(h,"vk_icdGetInstanceProcAddr"); pdpa=(Gpa)dlsym(h,"vk_icdGetPhysicalDeviceProcAddr"); neg=(void*)dlsym(h,"vk_icdNegotiateLoaderICDInterfaceVersion"); }
static void set(VkPhysicalDeviceFeatures*f,VkBool32 v){ f->shaderSampledImageArrayDynamicIndexing=v; f->shaderStorageImageArrayDynamicIndexing=v; }
static void VKAPI_CALL F1(VkPhysicalDevice d,VkPhysicalDeviceFeatures*f){ f1(d,f); set(f,1); }
static void VKAPI_CALL F2(VkPhysicalDevice d,VkPhysicalDeviceFeatures2*f){ f2(d,f); set(&f->features,1); }
static VkResult VKAPI_CALL CD(VkPhysicalDevice d,const VkDeviceCreateInfo*i,const VkAllocationCallbacks*a,VkDevice*o){
  VkDeviceCreateInfo c=*i; VkPhysicalDeviceFeatures e; if(c.pEnabledFeatures){ e=*c.pEnabledFeatures; set(&e,0); c.pEnabledFeatures=&e; }
  for(VkBaseOutStructure*s=(void*)c.pNext;s;s=s->pNext) if(s->sType==VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2) set(&((VkPhysicalDeviceFeatures2*)s)->features,0);
  return cd(d,&c,a,o); }
#define H(n,slot,fn) if(!strcmp(name,n)){ slot=(void*)p; return (void*)fn; }
static PFN_vkVoidFunction hook(const char*name,PFN_vkVoidFunction p){ if(!p) return p; H("vkGetPhysicalDeviceFeatures",f1,F1)
  H("vkGetPhysicalDeviceFeatures2",f2,F2) H("vkGetPhysicalDeviceFeatures2KHR",f2,F2) H("vkCreateDevice",cd,CD) return p; }
PFN_vkVoidFunction VKAPI_CALL vk_icdGetInstanceProcAddr(VkInstance i,const char*n){ load(); return ipa?hook(n,ipa(i,n)):0; }
PFN_vkVoidFunction VKAPI_CALL vk_icdGetPhysicalDeviceProcAddr(VkInstance i,const char*n){ load(); return pdpa?hook(n,pdpa(i,n)):0; }
VkResult VKAPI_CALL vk_icdNegotiateLoaderICDInterfaceVersion(uint32_t*v){ load(); return neg?neg(v):VK_ERROR_INCOMPATIBLE_DRIVER; }
