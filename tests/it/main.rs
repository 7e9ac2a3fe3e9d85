mod costs; // costs in the place of the margin: values by hand, stored forms, what is refused
mod devices; // devices, and numbers that are compared
mod errata; // what the tutorial and its comments get wrong, each in numbers
mod fused; // the fused pass: naive loops on every shape, storage, preprocessing and number of threads
mod gradcheck; // the gradient check as a library user and its report meet it
mod gradients; // gradients by hand, by autodiff and by differences; conventions at kinks and ties; sparse against dense
mod half; // f16 and bf16 scores, class indices that those types cannot tell apart, labels out of range
mod interior; // the interior point method over parts: raw rows, a free bias, runs that are taken up again
mod losses; // the contract of the losses: values, reductions, invariances, options
mod parts; // one problem in parts: the optimum of all rows together, whatever the parts are and whichever is lost
mod resident; // `burn-svm report`: pages for every kind of run and search, whole and as wide as a phone
mod support; // devices, tensors and generators of the tests of losses and gradients
mod svm; // the front door: rows and labels of every kind to a model; what is refused; models that are saved and proved
mod weights; // row weights against naive loops
